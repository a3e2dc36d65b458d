_base_ = './kind.py'
model = dict(
    generator=dict(se=dict(type='SEModule', sources=(1, 0, 'logits'))),
    # On the restored reflectance SCH has about 10 % of the gradient norm of loss_recon, SA about 20 % (gradient_share.py).
    sch_loss=dict(type='SCHLoss', loss_weight=6.),
    sa_loss=dict(type='SALoss', loss_weight=0.1),
    discriminator=dict(type='SADiscriminator'))
