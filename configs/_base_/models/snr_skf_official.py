# SNR-LLIE-Net-SKF as the released code has it, its oddities included.
_base_ = './snr.py'
model = dict(
    # Images are not padded: of 600 columns the last 8 go without the transformer.
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0), ffn='dual'), size_divisor=4),
    # In training the bank looks at the ground truth; in testing at the low-light image, then at what was made of it.
    se_input='gt',
    loss_input='gt',
    test_passes=2,
    # No boundary is removed; a large weight, but in every 50th iteration only. There is no SA loss.
    sch_loss=dict(type='SCHLoss', bins='official', edge_width=0, loss_weight=10000.),
    sch_interval=50)
