import pytest
import torch
from golden import Golden, shared

from mmskf.converters import CONVERSIONS, check_strictly, convert, load_parts
from mmskf.models import RetinexNet


@pytest.mark.parametrize('case', ['dark_crop', 'photo'])
@torch.no_grad()
def test_golden_with_released_weights(case):
    conversion, golden = CONVERSIONS['retinexnet'], Golden('retinexnet_real')
    weights = load_parts(conversion, f'decom={shared("data/weights/npz/retinexnet_decom.npz")}')
    net = RetinexNet().eval()
    converted = conversion.rename(weights['decom'])
    check_strictly(converted, net.state_dict(), parts=['decom'])
    net.load_state_dict(converted, strict=False)
    for output, value in zip('RL', net.decom(golden.inputs(case)['x'])):
        golden.check(case, output, value)


@torch.no_grad()
def test_released_weights_of_a_port_were_made_with_replicate_padding():
    """R * I is the image, up to the border with the padding they were trained with, and not with the other."""
    folder = shared('data/weights/npz')
    parts = ','.join(f'{part}={folder}/retinexnet_torchport_{part}.npz' for part in ('decom', 'relight'))
    conversion, image = CONVERSIONS['retinexnet_port'], Golden('retinexnet_real').inputs('dark_crop')['x']
    weights = convert(conversion, load_parts(conversion, parts))['state_dict']
    errors = {}
    for padding_mode in ('replicate', 'zeros'):
        net = RetinexNet(form='port', padding_mode=padding_mode).eval()
        net.load_state_dict({key.removeprefix('generator.'): value for key, value in weights.items()})
        reflectance, illumination = net.decom(image)
        error = (reflectance * illumination - image).abs()
        inner = error[..., 6:-6, 6:-6]
        border = (error.sum() - inner.sum()) / (error.numel() - inner.numel())
        errors[padding_mode] = border / inner.mean()
    assert errors['replicate'] < 1.1 and errors['zeros'] > 2
