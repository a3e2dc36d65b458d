_base_ = './snr.py'
model = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0), ffn='dual')),
    sch_loss=dict(type='SCHLoss', loss_weight=10000.),
    sa_loss=dict(type='SALoss', loss_weight=1000.),
    discriminator=dict(type='SADiscriminator'))
