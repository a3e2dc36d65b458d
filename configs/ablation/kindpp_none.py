# Table 3: plain KinD++, trained with the crops of the other rows; those of baseline/kindpp_lol.py are smaller in the last stage.
_base_ = '../_base_/methods/kindpp.py'
_base_.train_cfg.stages[-1].dataloader = _base_.skf_patches
