import pytest
import torch

from mmskf.registry import MODELS


@pytest.mark.parametrize('loss', [
    dict(type='L1Loss'), dict(type='L1Loss', reduction='sum', loss_weight=0.5), dict(type='CharbonnierLoss', eps=1e-6),
    dict(type='CharbonnierLoss', reduction='sum'), dict(type='PSNRLoss', loss_weight=0.5)])
def test_numbers_and_gradients_are_those_of_mmagic(loss):
    torch.manual_seed(0)
    pred, target = torch.rand(2, 3, 5, 6, dtype=torch.float64, requires_grad=True), torch.rand(2, 3, 5, 6, dtype=torch.float64)
    ours, theirs = (MODELS.build({**loss, 'type': f'{scope}.{loss["type"]}'})(pred, target) for scope in ('mmskf', 'mmagic'))
    assert torch.allclose(ours, theirs, rtol=1e-12)
    assert torch.allclose(*(torch.autograd.grad(value, pred)[0] for value in (ours, theirs)), rtol=1e-12)


def test_unknown_reduction():
    with pytest.raises(ValueError, match="reduction='none' of L1Loss: choose 'mean' or 'sum'"):
        MODELS.build(dict(type='L1Loss', reduction='none'))
