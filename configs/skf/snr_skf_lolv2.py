_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lolv2_real.py', '../_base_/models/snr_skf.py',
    '../_base_/schedules/snr_skf.py', '../skb/hrnet_w48_pascal_context.py'
]
model = dict(skb=_base_.skb)
# As the baseline on these data: whole images, stretched to multiples of 16, flipped but never transposed.
_base_.train_dataloader.dataset.pipeline[2] = dict(type='mmagic.Resize', keys=['img', 'gt'], scale=(400, 608))
_base_.train_dataloader.dataset.pipeline.pop(5)
train_dataloader = dict(batch_size=4)
auto_scale_lr = dict(base_batch_size=4)
