import pytest
import torch
from golden import Golden

from mmskf.converters import CONVERSIONS
from mmskf.models import SNRNet
from mmskf.models.editors.snr.snr_net import box_blur, snr_map

CASES = ['a_64x96', 'b_72x104', 'c_mixed_mask_64x96']


@pytest.fixture(scope='module')
def golden():
    return Golden('snr')


@pytest.fixture(scope='module')
def net(golden):
    net = SNRNet().eval()
    net.load_state_dict(CONVERSIONS['snr'].rename(golden.weights()))
    return net


def test_parameters(net):
    assert sum(weight.numel() for weight in net.parameters()) == 39_124_099
    assert sum(weight.numel() for weight in net.long_range.parameters()) == 6 * 6_298_624


@pytest.mark.parametrize('case', CASES)
def test_golden(net, golden, case):
    """Also a size that 16 does not divide, and a map with patches on both sides of the threshold."""
    seen = {}
    inner = {'transformer_out': net.long_range.layers[-1], 'recon_trunk_out': net.fusion}
    handles = [module.register_forward_hook(lambda module, args, output, name=name: seen.update({name: output}))
               for name, module in inner.items()]
    inputs = golden.inputs(case)
    with torch.no_grad():
        golden.check(case, 'y', net(inputs['x'], snr=inputs['mask']))
    for handle in handles:
        handle.remove()
    for name, output in seen.items():
        golden.check(case, name, output)


@pytest.mark.parametrize('case', ['a_64x96', 'b_72x104'])
def test_golden_map(golden, case):
    inputs = golden.inputs(case)
    assert torch.allclose(box_blur(inputs['x']), inputs['nf'], atol=1e-7)
    golden.check(case, 'mask_from_x_nf', snr_map(inputs['x'], inputs['nf']))
    golden.check(case, 'mask_from_x_nf', snr_map(inputs['x'], box_blur(inputs['x'])))
