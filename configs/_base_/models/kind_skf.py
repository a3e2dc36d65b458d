_base_ = './kind.py'
model = dict(
    generator=dict(se=dict(type='SEModule', sources=(1, 0, 'logits'))),
    sch_loss=dict(type='SCHLoss', loss_weight=1.),
    sa_loss=dict(type='SALoss', loss_weight=0.1),
    discriminator=dict(type='SADiscriminator'))
