# SNR-LLIE-Net-SKF as in the released code, quirks included.
_base_ = ['../_base_/methods/snr.py', '../skb/hrnet_w48_pascal_context_official.py']
model = dict(
    skb=_base_.skb,
    # Images are not padded: the last 8 of 600 columns skip the transformer.
    # Fine-tunes the authors' LOLv1.pth, converted by tools/model_converters/official_to_mmskf.py snr.
    generator=dict(
        _base_.skf.generator,
        size_divisor=4,
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/snr_lol.pth', prefix='generator')),
    # In training the bank sees the ground truth; in testing the low-light image, then its first enhanced version.
    se_input='gt',
    loss_input='gt',
    test_passes=2,
    # Boundaries are kept; a large weight, but only in iterations 50, 100, ... There is no SA loss.
    sch_loss=dict(type='SCHLoss', bins='official', edge_width=0, loss_weight=10000.),
    sch_interval=50)
train_dataloader = dict(batch_size=16)
auto_scale_lr = dict(base_batch_size=16)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
