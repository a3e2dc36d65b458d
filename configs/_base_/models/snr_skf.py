_base_ = './snr.py'
model = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0), ffn='dual')),
    # The baseline's sum at its batch of 32 crops of 128x128, but whatever the batch, so that SCH and SA keep their shares.
    # (A plain mean would leave the gradients of some layers as small as Adam's eps.)
    recon_loss=dict(reduction='mean', loss_weight=32 * 3 * 128 * 128.),
    # On the enhanced image SCH has 9 to 11 % of the gradient norm of loss_recon and SA 10 to 12 %, on whole images 5 %
    # (after 25 iterations, with the small knowledge bank).
    sch_loss=dict(type='SCHLoss', loss_weight=5e5),
    sa_loss=dict(type='SALoss', loss_weight=4e4),
    discriminator=dict(type='SADiscriminator'))
