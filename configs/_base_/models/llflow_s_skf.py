_base_ = './llflow_s.py'
model = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0))),
    # On the latent image SCH has 10 % of the gradient norm of loss_recon (gradient_share.py, after 120 iterations).
    sch_loss=dict(type='SCHLoss', loss_weight=2.))
