_base_ = './kindpp.py'
model = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0))),
    # KinD's weights: the same SSIM dominates the loss of both restoration nets.
    sch_loss=dict(type='SCHLoss', loss_weight=6.),
    sa_loss=dict(type='SALoss', loss_weight=0.1),
    discriminator=dict(type='SADiscriminator'))
