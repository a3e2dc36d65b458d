model = dict(
    type='LLFlow',
    generator=dict(type='LLFlowNet'),
    recon_loss=dict(type='FlowNLLLoss'),
    # Images are read as RGB, 0..255, with the equalised image behind; inside the model all is in [0, 1].
    data_preprocessor=dict(type='mmagic.DataPreprocessor', mean=[0.], std=[255.]))
