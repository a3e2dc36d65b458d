_base_ = './kindpp.py'
model = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0))),
    sch_loss=dict(type='SCHLoss', loss_weight=1.),
    sa_loss=dict(type='SALoss', loss_weight=0.1),
    discriminator=dict(type='SADiscriminator'))
