import pytest
import torch
from golden import Golden
from torch.autograd import gradcheck

from mmskf.converters import CONVERSIONS
from mmskf.models import HWMNet
from mmskf.models.editors.hwmnet import haar, inverse_haar


@pytest.fixture(scope='module')
def golden():
    return Golden('hwmnet')


@pytest.fixture(scope='module')
def reference(golden):
    """The network with the weights that the golden figures were made with."""
    net = HWMNet().eval()
    net.load_state_dict(CONVERSIONS['hwmnet'].rename(golden.weights()))
    return net


@pytest.mark.parametrize('case', ['a_64x96', 'b_80x112'])
def test_golden(reference, golden, case):
    seen = {}
    parts = dict(enc_level0=reference.encoder[0], bottom=reference.encoder[3], skff=reference.fusion)
    handles = [part.register_forward_hook(lambda module, inputs, output, name=name: seen.update({name: output}))
               for name, part in parts.items()]
    with torch.no_grad():
        seen['y'] = reference(golden.inputs(case)['x'])
    for handle in handles:
        handle.remove()
    for name in ('enc_level0', 'bottom', 'skff', 'y'):
        golden.check(case, name, seen[name])


def test_parameters(reference):
    assert sum(weight.numel() for weight in reference.parameters()) == 66_564_649
