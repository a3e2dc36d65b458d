import pytest
import torch

from mmskf.models import FlowNLLLoss, FlowOutputs


def test_bits_of_a_known_density():
    """The density of an image under a flow that multiplies by s: that of a Gaussian of standard deviation 1 / s."""
    torch.manual_seed(0)
    image, mean, scale = torch.rand(2, 3, 4, 6), torch.rand(2, 3, 4, 6), 2.5
    outputs = FlowOutputs(latent=image * scale, mean=mean, logdet=torch.full((2, ), image[0].numel()) * torch.tensor(scale).log())
    log_prob = torch.distributions.Normal(mean / scale, 1 / scale).log_prob(image).sum(dim=(1, 2, 3))
    expected = -log_prob.mean() / torch.tensor(2.).log() / 24
    assert FlowNLLLoss()(outputs, image).item() == pytest.approx(expected.item(), rel=1e-5)
    assert FlowNLLLoss(loss_weight=3.)(outputs, image).item() == pytest.approx(3 * expected.item(), rel=1e-5)


def test_float16_does_not_overflow():
    latent = torch.full((1, 3, 64, 64), 30.)
    outputs = FlowOutputs(latent, torch.zeros_like(latent), torch.zeros(1))
    with torch.autocast('cpu', torch.float16):
        assert torch.equal(FlowNLLLoss()(outputs, latent), FlowNLLLoss()(outputs, latent).float())
        assert FlowNLLLoss()(outputs, latent).isfinite()
