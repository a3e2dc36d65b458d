_base_ = './drbn.py'
model = dict(
    generator=dict(se=dict(type='SEModule', sources=(1, 0, 'logits'), gelu='tanh')),
    # On the enhanced image SCH has 8 to 13 % of the gradient norm of loss_recon, SA about 20 % (gradient_share.py).
    sch_loss=dict(type='SCHLoss', loss_weight=3.),
    sa_loss=dict(type='SALoss', loss_weight=0.1),
    discriminator=dict(type='SADiscriminator'))
