model = dict(
    type='KinDEditor',
    # exposure='gt' reproduces the published protocol, which takes the brightness from the ground truth.
    generator=dict(type='KinD', exposure='auto'),
    recon_loss=dict(
        decom=dict(type='KinDDecomLoss'), adjust=dict(type='KinDAdjustLoss'), restore=dict(type='KinDRestoreLoss')),
    # Images are read as RGB, 0..255; inside the model they are RGB in [0, 1].
    data_preprocessor=dict(type='mmagic.DataPreprocessor', mean=[0., 0., 0.], std=[255., 255., 255.]))
