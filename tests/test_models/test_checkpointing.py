"""Networks that keep fewer activations: the same gradients, to the last bit."""
import pytest
import torch
from networks import NETWORKS, small_prior
from saved_tensors import kept_bytes

from mmskf.models.editors.enhancement_editor import full_size


def kept_and_gradients(net):
    """Bytes that the forward pass keeps for the backward pass, and the gradients of the weights."""
    image = torch.rand(2, net.input_channels, 64, 64, generator=torch.Generator().manual_seed(0))
    kept, outputs = kept_bytes(net.train(), image, small_prior(64, 64, batch=2))
    return kept, torch.autograd.grad(full_size(outputs).square().sum(), list(net.parameters()), allow_unused=True)


@pytest.mark.parametrize('name, share', [('hwmnet', 0.4), ('snr', 0.4), ('llflow_s', 0.9)])
def test_activation_checkpointing(name, share):
    plain, expected = kept_and_gradients(NETWORKS[name].build_small())
    saving = NETWORKS[name].build_small(with_cp=True)
    kept, gradients = kept_and_gradients(saving)
    assert kept < share * plain
    assert all(a is b or torch.equal(a, b) for a, b in zip(gradients, expected))
