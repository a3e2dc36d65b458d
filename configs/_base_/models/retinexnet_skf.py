_base_ = './retinexnet.py'
model = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0))),
    # On the enhanced image SCH has about 13 % of the gradient norm of loss_recon, SA about 19 % (gradient_share.py).
    sch_loss=dict(type='SCHLoss', loss_weight=0.4),
    sa_loss=dict(type='SALoss', loss_weight=0.004),
    discriminator=dict(type='SADiscriminator'))
