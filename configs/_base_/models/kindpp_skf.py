_base_ = './kindpp.py'
model = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0))),
    # KinD's weights. On the restored reflectance SCH has 5.7 % of the gradient norm of loss_recon, the local SA 10.6 %
    # (gradient_share.py, 3 batches of 2 patches of 96x96, hrnet_w18s_camvid), after a training of 60, 30 and 20 iterations only;
    # with random weights it was 151 % and 117 %. Measure again with a network that is trained in full.
    sch_loss=dict(type='SCHLoss', loss_weight=6.),
    sa_loss=dict(type='SALoss', loss_weight=0.1),
    discriminator=dict(type='SADiscriminator'))
