model = dict(
    type='KinDEditor',
    # exposure='gt' reproduces the published protocol, which takes the brightness from the ground truth.
    generator=dict(type='KinDPlusPlus', exposure='auto'),
    recon_loss=dict(
        decom=dict(type='KinDDecomLoss', equal_reflectance_weight=0.009),
        adjust=dict(type='KinDAdjustLoss', magnitude=False),
        restore=dict(type='KinDRestoreLoss', gradient_weight=0.)),
    # Images are read as RGB, 0..255; inside the model they are RGB in [0, 1].
    data_preprocessor=dict(type='mmagic.DataPreprocessor', mean=[0., 0., 0.], std=[255., 255., 255.]))
