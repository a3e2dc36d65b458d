import numpy as np
import pytest
import torch
from golden import Golden, shared

from mmskf.apis import init_model
from mmskf.converters import CONVERSIONS, Conversion, check_strictly, convert, load_parts, save
from mmskf.weights import WeightsError


@pytest.fixture(scope='module')
def drbn():
    return Golden('drbn').weights()


def test_converted_checkpoint_loads(drbn, tmp_path):
    checkpoint = convert(CONVERSIONS['drbn'], {'': drbn})
    assert all(key.startswith('generator.') for key in checkpoint['state_dict'])
    assert checkpoint['meta']['config'] == 'baseline/drbn_lol'
    save(checkpoint, tmp_path / 'new' / 'drbn.pth')
    model = init_model('drbn_lol', tmp_path / 'new' / 'drbn.pth')
    assert torch.equal(model.generator.recurrences[3].rdbs[5].fusion.weight, drbn['recur4.RDBs.5.LFF.weight'])


def weights_in(keys):
    """All but the counters of PyTorch's norms, which other frameworks do not have."""
    return [key for key in keys if not key.endswith('num_batches_tracked')]


@pytest.mark.parametrize('method', sorted(CONVERSIONS))
def test_every_method_converts_strictly(method):
    """No tensor is lost: what is not dead arrives, once."""
    golden = Golden(method.replace('_port', '_torchport'))
    checkpoint = convert(CONVERSIONS[method], {'': golden.weights()})
    doubled = {name for names in golden.meta.get('aliased_keys', []) for name in names[1:]}
    official = set(golden.meta['state_dict']) - set(golden.meta['dead_keys']) - doubled
    assert len(weights_in(checkpoint['state_dict'])) == len(weights_in(official))


def test_every_tensor_of_the_authors_arrives_once(drbn):
    converted = CONVERSIONS['drbn'].rename(drbn)
    assert len(converted) == len(drbn) and sum(value.numel() for value in converted.values()) == 557_668


@pytest.mark.parametrize('spoil, message', [
    (lambda weights: weights.pop('recur2.Down1.bias'), r'missing: recurrences.1.down1.bias'),
    (lambda weights: weights.update(extra=torch.zeros(1)), 'unexpected: extra'),
    (lambda weights: weights.update({'recur1.Up1.bias': torch.zeros(3)}),
     r'of another shape: recurrences.0.up1.bias: \(3,\), the model has \(16,\)'),
])
def test_what_does_not_fit_is_named(drbn, spoil, message):
    weights = dict(drbn)
    spoil(weights)
    with pytest.raises(ValueError, match=f'do not match.*1 keys.*\n.*{message}'):
        convert(CONVERSIONS['drbn'], {'': weights})


@pytest.mark.parametrize('method, key, gone', [
    ('retinexnet', 'RelightNet/conv2d_8/bias', 'relight.head.bias'),
    ('kind', 'Restoration_net/up_6/weights', 'restore.ups.0.conv.weight'),
    ('kindpp', 'Denoise_Net/de_conv3pu4/conv_up_1/weights', 'restore.msia.2.scale4.5.weight'),
])
def test_what_training_with_tensorflow_leaves_behind(method, key, gone):
    """Slots of the optimizer and counters are no weights; a network that nobody knows is an error, as a missing weight is."""
    weights = Golden(method).weights()
    left = {f'{key}/Adam': weights[key], f'{key}/Adam_1': weights[key], f'x/{key}/AdamOptimizer/x': weights[key],
            'beta1_power': torch.tensor(0.9), 'x/beta2_power': torch.tensor(0.9), 'global_step': torch.tensor(9200)}
    expected = CONVERSIONS[method].rename(weights)
    assert CONVERSIONS[method].rename({**weights, **left}).keys() == expected.keys()
    del weights[key]
    with pytest.raises(ValueError, match=rf'2 keys.*\n  missing: {gone}\n  unexpected: Other_Net/conv.weight'):
        convert(CONVERSIONS[method], {'': {**weights, 'Other_Net/conv/kernel': torch.zeros(1)}})


def test_retinexnet_is_put_together_of_two_checkpoints():
    """The one of the decomposition also holds a denoiser and an older relighting, which were given up."""
    weights = Golden('retinexnet').weights()
    parts = {part: {key: value for key, value in weights.items() if key.startswith(scope)}
             for part, scope in (('decom', 'DecomNet/'), ('relight', 'RelightNet/'))}
    parts['decom'].update({'RelightNet/conv2d/kernel': torch.zeros(9, 9, 1, 64), 'DenoiseNet/conv2d/kernel': torch.zeros(1)})
    whole = convert(CONVERSIONS['retinexnet'], {'': weights})['state_dict']
    for order in (('decom', 'relight'), ('relight', 'decom')):
        converted = convert(CONVERSIONS['retinexnet'], {part: parts[part] for part in order})['state_dict']
        assert converted.keys() == whole.keys()
        assert all(torch.equal(value, whole[key]) for key, value in converted.items())


PORT = 'decom={0}/npz/retinexnet_torchport{1}_decom.npz,relight={0}/npz/retinexnet_torchport{1}_relight.npz'


@pytest.mark.parametrize('method, source, parts, numbers', [
    ('retinexnet', 'decom={0}/npz/retinexnet_decom.npz', ['decom'], 207_748),
    ('retinexnet_port', PORT.format('{0}', ''), None, 555_205),
    ('retinexnet_port', PORT.format('{0}', '_aasharma'), None, 555_205),
    ('kind', 'decom={0}/npz/kind_decom.npz,adjust={0}/npz/kind_adjust.npz', ['decom', 'adjust'], 255_269),
    ('kind_port', 'decom={0}/kind_pytorch_decom_net.pth,adjust={0}/kind_pytorch_illum_net.pth', ['decom', 'adjust'], 256_645),
    ('kindpp', 'decom={0}/npz/kindpp_decom.npz,adjust={0}/npz/kindpp_adjust.npz', ['decom', 'adjust'], 255_269),
])
def test_released_weights_of_the_retinex_methods(method, source, parts, numbers):
    sources = load_parts(CONVERSIONS[method], source.format(shared('data/weights')))
    checkpoint = convert(CONVERSIONS[method], sources, parts)
    assert sum(value.numel() for value in checkpoint['state_dict'].values()) == numbers
    if parts:
        with pytest.raises(ValueError, match='missing: '):
            convert(CONVERSIONS[method], sources)


@pytest.mark.parametrize('released', ['kind_pytorch_decom_net.pth', 'npz/kind_torchport_decom.npz'])
def test_a_port_is_read_from_both_kinds_of_files(released):
    """They hold the same weights."""
    sources = load_parts(CONVERSIONS['kind_port'], f'decom={shared("data/weights") / released}')
    converted = convert(CONVERSIONS['kind_port'], sources, ['decom'])['state_dict']
    with np.load(shared('data/weights/npz/kind_torchport_decom.npz')) as arrays:
        expected = arrays['deconv_r1.deconv_relu.0.weight']
    assert np.array_equal(converted['generator.decom.up2.conv.weight'].numpy(), expected)


def test_dead_keys_are_dropped_by_name():
    conversion = Conversion(model='', renames=[('^a', 'b')], dead=[r'a\.dead\..*'])
    assert list(conversion.rename({'a.x': 1, 'a.dead.x': 2, 'a.deadly': 3})) == ['b.x', 'b.deadly']


def test_only_some_parts_are_expected():
    full = {'one.x': torch.zeros(1), 'two.x': torch.zeros(1)}
    check_strictly({'one.x': torch.zeros(1)}, full, parts=['one'])
    with pytest.raises(ValueError, match='missing: two.x'):
        check_strictly({'one.x': torch.zeros(1)}, full, parts=None)
    with pytest.raises(ValueError, match='no subnet three in this method; parts may be one, two'):
        check_strictly({'one.x': torch.zeros(1)}, full, parts=['one', 'three'])


def test_sources(tmp_path, drbn):
    torch.save({'state_dict': {f'module.{key}': value for key, value in drbn.items()}}, tmp_path / 'wrapped.pt')
    assert set(load_parts(CONVERSIONS['drbn'], str(tmp_path / 'wrapped.pt'))['']) == set(drbn)
    conversion = Conversion(model='', parts=dict(first='first.', second='second.'))
    for name in ('first', 'second', 'other'):
        torch.save({'x': torch.tensor(1.)}, tmp_path / f'{name}.pth')
    assert set(load_parts(conversion, str(tmp_path))) == {'first', 'second'}
    assert set(load_parts(conversion, f'second={tmp_path / "other.pth"}')) == {'second'}
    assert set(load_parts(conversion, str(tmp_path / 'other.pth'), ['second'])) == {'second'}
    with pytest.raises(ValueError, match=r"has the parts \['first', 'second'\], not \['third'\]. Give .* first=PATH,second=PATH"):
        load_parts(conversion, 'third=x.pth')
    with pytest.raises(ValueError, match='Give the weights as first=PATH'):
        load_parts(conversion, str(tmp_path / 'first.pth'))


def test_the_source_is_never_replaced(tool, tmp_path):
    """Neither a file nor, of a TensorFlow checkpoint, one of several; other files beside it may be."""
    main = tool('tools/model_converters/official_to_mmskf').main
    for name in ('x.pth', 'x.index', 'x.data-00000-of-00001'):
        (tmp_path / name).write_bytes(b'weights')
    (tmp_path / 'link.pth').symlink_to(tmp_path / 'x.pth')
    for source, target in (('x.pth', 'x.pth'), ('x.pth', 'link.pth'), ('x', 'x.data-00000-of-00001'), ('x.index', 'x.index')):
        with pytest.raises(FileExistsError, match='is one of the originals'):
            main(['cidnet', str(tmp_path / source), str(tmp_path / target)])
    with pytest.raises(WeightsError):  # as it was read
        main(['cidnet', str(tmp_path / 'x.pth'), str(tmp_path / 'x.index')])
    assert all((tmp_path / name).read_bytes() == b'weights' for name in ('x.pth', 'x.index', 'x.data-00000-of-00001'))


def test_tool(tool, tmp_path, capsys):
    source = shared('data/weights/drbn_stage1_model_s1.pt')
    tool('tools/model_converters/official_to_mmskf').main(['drbn', str(source), str(tmp_path / 'drbn.pth')])
    assert '557,668 numbers' in capsys.readouterr().out
    with np.load(shared('data/weights/npz/drbn_model_s1.npz')) as arrays:
        expected = arrays['recur3.UPNet4.1.weight']
    weight = init_model('drbn_lol', tmp_path / 'drbn.pth').generator.recurrences[2].to_rgb4[1].weight
    assert np.array_equal(weight.detach().numpy(), expected)


def test_tool_takes_one_file_as_the_part_that_is_asked_for(tool, tmp_path):
    """The port's files do not say which subnet they are."""
    main = tool('tools/model_converters/official_to_mmskf').main
    source = str(shared('data/weights/kind_pytorch_decom_net.pth'))
    main(['kind_port', source, str(tmp_path / 'kind.pth'), '--parts', 'decom'])
    weights = torch.load(tmp_path / 'kind.pth')['state_dict']
    assert weights and all(key.startswith('generator.decom.') for key in weights)
    with pytest.raises(ValueError, match='no subnet decomp in this method; parts may be decom, adjust, restore'):
        main(['kind_port', source, str(tmp_path / 'other.pth'), '--parts', 'decomp'])


def test_tool_refuses_unknown_methods(tool, capsys):
    with pytest.raises(SystemExit):
        tool('tools/model_converters/official_to_mmskf').main(['drbm', 'a', 'b'])
    assert "invalid choice: 'drbm'" in capsys.readouterr().err
