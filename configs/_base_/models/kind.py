model = dict(
    type='SKFEditor',
    generator=dict(type='KinD'),
    recon_loss=dict(type='mmagic.L1Loss'),
    data_preprocessor=dict(type='mmagic.DataPreprocessor', mean=[0., 0., 0.], std=[255., 255., 255.]))
