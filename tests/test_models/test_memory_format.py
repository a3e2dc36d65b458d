"""Networks that compute channels last give what they would give otherwise, and so do their gradients."""
import pytest
import torch

from mmskf.models import DRBNNet, SNRNet


@pytest.mark.parametrize('network', [lambda: DRBNNet(channels=4, growth=2, recurrences=2), lambda: SNRNet(channels=8, layers=1)],
                         ids=['drbn', 'snr'])
def test_is_the_same_as_channels_first(network, monkeypatch):
    torch.manual_seed(0)
    model = network().double()
    image = torch.rand(2, 3, 32, 48, dtype=torch.float64, requires_grad=True)

    def run():
        outputs = model(image)
        outputs = outputs[0] if isinstance(outputs, tuple) else outputs
        return [outputs, *torch.autograd.grad(outputs.square().sum(), [image, *model.parameters()], allow_unused=True)]

    last = run()
    assert last[0].is_contiguous(memory_format=torch.channels_last)
    monkeypatch.setattr(torch.Tensor, 'contiguous', lambda self, **_: self)  # nothing is converted
    first = run()
    assert first[0].is_contiguous()
    torch.testing.assert_close(last, first, rtol=1e-9, atol=1e-9)
