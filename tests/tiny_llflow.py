"""An LLFlow that is small enough for tests."""
import torch

from mmskf.registry import MODELS

GENERATOR = dict(type='LLFlowNet', width=4, num_blocks=1, kept_blocks=(0, ), steps=1, hidden=4)


def tiny_llflow(generator=None, **changes):
    """The editor in eval mode, with weights such that every layer does something."""
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='LLFlow',
            generator=dict(GENERATOR, **generator or {}),
            recon_loss=dict(type='FlowNLLLoss'),
            data_preprocessor=dict(type='mmagic.DataPreprocessor', mean=[0.], std=[255.]),
            **changes)).eval()
    with torch.no_grad():
        for weight in model.generator.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return model
