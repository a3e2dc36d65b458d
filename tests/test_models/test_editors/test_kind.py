import pytest
import torch
from golden import Golden, shared

from mmskf.converters import CONVERSIONS, check_strictly, load_parts
from mmskf.models import KinDNet, KinDPlusPlusNet
from mmskf.models.editors.kind.exposure import exposure_ratio

METHODS = dict(kind=(KinDNet, 'b_49x75'), kindpp=(KinDPlusPlusNet, 'b_52x76'))


@pytest.fixture(scope='module', params=METHODS)
def golden(request):
    return Golden(request.param)


@pytest.fixture(scope='module')
def weights(golden):
    return CONVERSIONS[golden.meta['name']].rename(golden.weights())


@pytest.fixture
def net(golden, weights):
    """The network with the weights of the golden set, ready to be tested with other options."""
    def build(**options):
        generator = METHODS[golden.meta['name']][0](**options)
        generator.load_state_dict(weights)
        return generator.eval()

    return build


@torch.no_grad()
def test_golden_of_own_photos(golden, net):
    """KinD adjusts the illumination by 5, KinD++ does not adjust it."""
    case = METHODS[golden.meta['name']][1]
    model = net(fusion='authors', **(dict(exposure=5.) if golden.meta['name'] == 'kind' else {}))
    golden.check(case, 'fusion_evaluate', model(golden.inputs(case)['x']).image)


@torch.no_grad()
def test_exposure_without_the_ground_truth(golden, net):
    image = golden.inputs('a_64x96')['x'][..., :16, :16]
    model = net()
    outputs = model(image)
    illumination = model.decom(image)[1]
    for index in range(2):  # every image has a ratio of its own
        brightness = illumination[index].mean()
        adjusted = model.adjust(illumination[index:index + 1], (0.6 + 0.5 * brightness)[None] / brightness)
        assert torch.allclose(outputs.image[index], outputs.reflectance[index] * adjusted[0], atol=1e-6)
    five = model.adjust(illumination, torch.full((2, ), 5.))
    assert torch.allclose(net(exposure=5)(image).image, outputs.reflectance * five, atol=1e-6)
    with pytest.raises(ValueError, match="exposure='gt' takes the brightness from the ground truth, but there is none"):
        net(exposure='gt')(image)


@torch.no_grad()
def test_stage_adjust_brightens_or_darkens(golden, net):
    """Half of the samples go from the low to the high illumination, the others back, each by its own ratio."""
    inputs = golden.inputs('a_64x96')
    low, high = (inputs[key][:1, :, :16, :16].expand(40, -1, -1, -1) for key in ('x', 'gt'))
    model = net()
    torch.manual_seed(0)
    outputs = model(low, gt=high, stage='adjust')
    dark, bright = model.decom(low[:1])[1], model.decom(high[:1])[1]
    ratio = (dark / (bright + 1e-4)).mean()[None]
    up = torch.tensor([torch.allclose(target, bright[0], atol=1e-6) for target in outputs.target])
    assert 10 < up.sum() < 30
    for chosen, start, end, factor in ((up, dark, bright, 1 / ratio + 1e-4), (~up, bright, dark, ratio)):
        assert torch.allclose(outputs.target[chosen], end, atol=1e-6)
        assert torch.allclose(outputs.illumination[chosen], model.adjust(start, factor), atol=1e-5)


@torch.no_grad()
def test_stage_restore_has_the_brightness_of_the_ground_truth(golden, net):
    low, high = (golden.inputs('a_64x96')[key][..., :16, :16] for key in ('x', 'gt'))
    model = net()
    outputs = model(low, gt=high, stage='restore')
    (dark_reflectance, dark), (reflectance, bright) = model.decom(low), model.decom(high)
    assert torch.allclose(outputs.reflectance, model.restore(dark_reflectance, dark), atol=1e-6)
    adjusted = model.adjust(dark, exposure_ratio(bright, dark))
    assert torch.allclose(outputs.image, outputs.reflectance * adjusted, atol=1e-6)
    scale = dict(kind=1., kindpp=0.99)[golden.meta['name']]
    assert torch.allclose(outputs.target, (scale * reflectance)**1.2, atol=1e-6)


@pytest.mark.parametrize('case', ['dark_crop', 'photo'])
@torch.no_grad()
def test_golden_with_released_weights(golden, case):
    method = golden.meta['name']
    conversion, golden = CONVERSIONS[method], Golden(f'{method}_real')
    files = {part: shared(f'data/weights/npz/{method}_{part}.npz') for part in ('decom', 'adjust')}
    parts = load_parts(conversion, ','.join(f'{part}={path}' for part, path in files.items()))
    net = METHODS[method][0]().eval()
    converted = conversion.rename({**parts['decom'], **parts['adjust']})
    check_strictly(converted, net.state_dict(), parts=['decom', 'adjust'])
    net.load_state_dict(converted, strict=False)
    reflectance, illumination = net.decom(golden.inputs(case)['x'])
    golden.check(case, 'R', reflectance)
    golden.check(case, 'L', illumination)
    golden.check(case, 'adjusted_L_ratio5', net.adjust(illumination, torch.tensor([5.])))


@torch.no_grad()
def test_kindpp_brightens_more_where_the_reflectance_stays_dark():
    """The two rules of its authors meet at a reflectance that is a tenth too dark."""
    net = KinDPlusPlusNet(exposure='gt')
    low, high, reflectance = torch.full((2, 1, 8, 8), 0.1), torch.full((2, 1, 8, 8), 0.5), torch.full((2, 3, 8, 8), 0.6)
    restored = reflectance / torch.tensor([1.09, 1.11]).view(2, 1, 1, 1)
    assert torch.allclose(net.ratio_to(reflectance, high, low, restored), torch.tensor([5., 5. + 1.11]), rtol=2e-3)
    assert torch.allclose(KinDNet(exposure='gt').ratio_to(reflectance, high, low, restored), torch.tensor([5., 5.]), rtol=2e-3)


@torch.no_grad()
def test_kindpp_fuses_with_the_adjusted_illumination_on_request():
    """As KinD does, from the same parts."""
    parts = [torch.rand(1, channels, 16, 16) for channels in (3, 3, 1, 3, 1)]
    assert torch.equal(KinDPlusPlusNet(fusion='authors_adjusted').fuse(*parts), KinDNet(fusion='authors').fuse(*parts))
