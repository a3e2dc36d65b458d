model = dict(
    type='StagedEditor',
    generator=dict(type='RetinexNet'),
    recon_loss=dict(decom=dict(type='RetinexNetDecomLoss'), relight=dict(type='RetinexNetRelightLoss')),
    # Images are read as RGB, 0..255; inside the model they are RGB in [0, 1].
    data_preprocessor=dict(type='mmagic.DataPreprocessor', mean=[0., 0., 0.], std=[255., 255., 255.]))
