_base_ = ['../baseline/kindpp_lolv2.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(_base_.skf, skb=_base_.skb)
_base_.train_cfg.stages[-1].dataloader = _base_.skf_patches
