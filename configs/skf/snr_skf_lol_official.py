# SNR-LLIE-Net-SKF as the released code has it, its oddities included.
_base_ = ['../_base_/methods/snr.py', '../skb/hrnet_w48_pascal_context_official.py']
model = dict(
    skb=_base_.skb,
    # Images are not padded: of 600 columns the last 8 go without the transformer.
    # Training starts from the authors' LOLv1.pth, converted by tools/model_converters/official_to_mmskf.py snr.
    generator=dict(
        _base_.skf.generator,
        size_divisor=4,
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/snr_lol.pth', prefix='generator')),
    # In training the bank looks at the ground truth; in testing at the low-light image, then at what was made of it.
    se_input='gt',
    loss_input='gt',
    test_passes=2,
    # No boundary is removed; a large weight, but in every 50th iteration only. There is no SA loss.
    sch_loss=dict(type='SCHLoss', bins='official', edge_width=0, loss_weight=10000.),
    sch_interval=50)
train_dataloader = dict(batch_size=16)
auto_scale_lr = dict(base_batch_size=16)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
