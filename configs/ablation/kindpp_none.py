# Table 3: KinD++ itself, trained with the patches of the other rows; those of baseline/kindpp_lol.py are smaller at the end.
_base_ = '../_base_/methods/kindpp.py'
_base_.train_cfg.stages[-1].dataloader = _base_.skf_patches
