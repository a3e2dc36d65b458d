import pytest
import torch
import torch.nn.functional as F
from golden import Golden

from mmskf.converters import Conversion
from mmskf.converters.se import SE_DEAD, SE_RENAMES
from mmskf.models.se_modules import SEModule
from mmskf.models.se_modules.se_module import cosines
from mmskf.registry import MODELS

VARIANTS = {
    'se_drbn_59_16': dict(channels=16, semantic_channels=59, gelu='tanh'),
    'se_drbn_96_32': dict(channels=32, semantic_channels=96, gelu='tanh'),
    'se_llflow_s_48_64': dict(channels=64, semantic_channels=48),
    'se_llflow_l_96_320': dict(channels=320, semantic_channels=96, bottleneck=192, expansion=1),
    'se_snr_96_64': dict(channels=64, semantic_channels=96, ffn='dual'),
    'se_snr_e1_48_96': dict(channels=96, semantic_channels=48, ffn='dual', expansion=1),
}


def rename(weights, ffn):
    return Conversion(model='', renames=SE_RENAMES, dead=SE_DEAD if ffn == 'dual' else []).rename(weights)


@pytest.mark.parametrize('name', VARIANTS)
def test_golden(name):
    golden, options = Golden(name), VARIANTS[name]
    module = SEModule(**options)
    module.load_state_dict(rename(golden.weights(), options.get('ffn')))
    assert sum(p.numel() for p in module.parameters()) == golden.meta['parameters_without_dead']
    for case in golden.cases:
        inputs = golden.inputs(case)
        golden.check(case, 'y', module(inputs['r'], inputs['s']))


@pytest.mark.parametrize('options, count', [
    (dict(channels=64, semantic_channels=48), 93_494),
    (dict(channels=64, semantic_channels=96), 96_566),
    (dict(channels=64, semantic_channels=192), 102_710),
    (dict(channels=320, semantic_channels=48, bottleneck=192, expansion=1), 730_306),
    (dict(channels=320, semantic_channels=96, bottleneck=192, expansion=1), 739_522),
    (dict(channels=320, semantic_channels=192, bottleneck=192, expansion=1), 757_954),
    (dict(channels=64, semantic_channels=48, ffn='dual'), 104_374 - 13_940),
    (dict(channels=64, semantic_channels=96, ffn='dual'), 107_446 - 13_940),
    (dict(channels=64, semantic_channels=192, ffn='dual'), 113_590 - 13_940),
    (dict(channels=32, semantic_channels=96), 26_812),
    (dict(channels=16, semantic_channels=48), 7_238),
    (dict(channels=16, semantic_channels=59), 7_414),
])
def test_parameter_count(options, count):
    assert sum(p.numel() for p in SEModule(**options).parameters()) == count


@pytest.mark.parametrize('prefix', ['recur4.fuseblk_1.', 'att_block_3.', 'module.att_block_1.', ''])
def test_renames_at_any_depth(prefix):
    keys = ['conv1.bias', 'conv3.weight', 'norm2.body.weight', 'attn.q_dwconv.weight', 'attn.kv_dwconv.weight',
            'ffn.project_in_S.weight', 'ffn.project_in.weight', 'ffn.dwconv.weight']
    renamed = rename({prefix + key: None for key in keys}, 'dual')
    assert list(renamed) == [prefix + key for key in ('embed.bias', 'expand.weight', 'norm2.weight', 'attn.q_conv.weight',
                                                      'attn.kv_dwconv.weight', 'ffn.project_semantic.weight')]


def test_renames_leave_other_layers_alone():
    keys = ['recur4.conv1.weight', 'RRDB.conv2.bias', 'layer1.0.conv1.weight']
    assert list(rename(dict.fromkeys(keys), 'gdfn')) == keys


@pytest.mark.parametrize('options', [dict(), dict(gelu='tanh'), dict(ffn='dual'), dict(bottleneck=2)], ids=str)
def test_gradcheck(options):
    torch.manual_seed(0)
    module = SEModule(channels=4, semantic_channels=3, **options).double()
    image = torch.randn(1, 4, 4, 5, dtype=torch.float64, requires_grad=True)
    semantic = torch.randn(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (image, semantic))


@pytest.mark.parametrize('options', [dict(), dict(ffn='dual'), dict(bottleneck=4)], ids=str)
def test_every_parameter_is_used(options):
    module = SEModule(channels=8, semantic_channels=3, **options)
    module(torch.randn(1, 8, 6, 6), torch.randn(1, 3, 3, 3)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in module.parameters())


def test_bad_input():
    with pytest.raises(ValueError, match=r"ffn of SEModule is 'mlp'; choose one of \['gdfn', 'dual'\]"):
        MODELS.build(dict(type='SEModule', channels=8, semantic_channels=3, ffn='mlp'))
    with pytest.raises(ValueError, match=r"gelu of SEModule is 'erf'; choose one of \['none', 'tanh'\]"):
        SEModule(8, 3, gelu='erf')
    with pytest.raises(ValueError, match='heads of SEModule is 2, which does not divide the 7 channels'):
        SEModule(7, 3)
    module = SEModule(8, 3)
    with pytest.raises(ValueError, match=r'semantic feature .* \(1, 5, 4, 4\), expected \(N, 3, H, W\): set semantic_'):
        module(torch.rand(1, 8, 4, 4), torch.rand(1, 5, 4, 4))
    with pytest.raises(ValueError, match=r'image feature .* expected \(N, 8, H, W\): set channels'):
        module(torch.rand(1, 6, 4, 4), torch.rand(1, 3, 4, 4))


def test_cosines_are_products_of_normalized_rows():
    query, key = torch.randn(2, 3, 4, 50, dtype=torch.float64, requires_grad=True), torch.randn(2, 3, 5, 50, dtype=torch.float64)
    expected = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).mT
    torch.testing.assert_close(cosines(query, key), expected)
    gradients = [torch.autograd.grad(value.square().sum(), query)[0] for value in (cosines(query, key), expected)]
    torch.testing.assert_close(*gradients)


def test_cosines_of_a_feature_that_is_zero_have_finite_gradients():
    query = torch.zeros(1, 2, 6, requires_grad=True)
    value = cosines(query, torch.rand(1, 2, 6))
    value.sum().backward()
    assert not value.any() and query.grad.isfinite().all()


def test_cosines_do_not_overflow_in_half_precision():
    query = torch.full((1, 2, 1000), 300., dtype=torch.float16)  # a product of 9e7
    assert torch.equal(cosines(query, -query), -torch.ones(1, 2, 2, dtype=torch.float16))
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.allclose(cosines(query.float(), query.float()), torch.ones(1, 2, 2))
