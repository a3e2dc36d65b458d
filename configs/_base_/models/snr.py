model = dict(
    type='SKFEditor',
    generator=dict(type='SNRNet'),
    recon_loss=dict(type='mmagic.CharbonnierLoss', reduction='sum', eps=1e-6),
    # Images are read as RGB, 0..255; inside the model they are RGB in [0, 1].
    data_preprocessor=dict(type='mmagic.DataPreprocessor', mean=[0., 0., 0.], std=[255., 255., 255.]))
