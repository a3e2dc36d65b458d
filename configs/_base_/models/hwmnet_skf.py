_base_ = './hwmnet.py'
model = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0), ffn='dual', expansion=1)),
    # On the enhanced image SCH has about 12 % of the gradient norm of loss_recon, SA 9 to 18 % (gradient_share.py).
    sch_loss=dict(type='SCHLoss', loss_weight=0.3),
    sa_loss=dict(type='SALoss', loss_weight=0.01),
    discriminator=dict(type='SADiscriminator'))
