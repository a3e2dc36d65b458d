import numpy as np
import pytest
import torch
from golden import Golden, shared

from mmskf.apis import init_model
from mmskf.converters import CONVERSIONS, Conversion, check_strictly, convert, load_parts, save


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


@pytest.mark.parametrize('method', sorted(CONVERSIONS))
def test_every_method_converts_strictly(method):
    """No tensor is lost: what is not dead arrives, once."""
    golden = Golden(method)
    checkpoint = convert(CONVERSIONS[method], {'': golden.weights()})
    doubled = sum(len(names) - 1 for names in golden.meta.get('aliased_keys', []))
    assert len(checkpoint['state_dict']) == len(golden.meta['state_dict']) - len(golden.meta['dead_keys']) - doubled


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
    with pytest.raises(ValueError, match=f'do not fit.*1 keys.*\n.*{message}'):
        convert(CONVERSIONS['drbn'], {'': weights})


def test_dead_keys_are_dropped_by_name():
    conversion = Conversion(model='', renames=[('^a', 'b')], dead=[r'a\.dead\..*'])
    assert list(conversion.rename({'a.x': 1, 'a.dead.x': 2, 'a.deadly': 3})) == ['b.x', 'b.deadly']


def test_only_some_parts_are_expected():
    full = {'one.x': torch.zeros(1), 'two.x': torch.zeros(1)}
    check_strictly({'one.x': torch.zeros(1)}, full, parts=['one'])
    with pytest.raises(ValueError, match='missing: two.x'):
        check_strictly({'one.x': torch.zeros(1)}, full, parts=None)


def test_sources(tmp_path, drbn):
    torch.save({'state_dict': {f'module.{key}': value for key, value in drbn.items()}}, tmp_path / 'wrapped.pt')
    assert set(load_parts(CONVERSIONS['drbn'], str(tmp_path / 'wrapped.pt'))['']) == set(drbn)
    conversion = Conversion(model='', parts=dict(first='first.', second='second.'))
    for name in ('first', 'second', 'other'):
        torch.save({'x': torch.tensor(1.)}, tmp_path / f'{name}.pth')
    assert set(load_parts(conversion, str(tmp_path))) == {'first', 'second'}
    assert set(load_parts(conversion, f'second={tmp_path / "other.pth"}')) == {'second'}
    with pytest.raises(ValueError, match=r"has the parts \['first', 'second'\], not \['third'\]. Give .* first=PATH,second=PATH"):
        load_parts(conversion, 'third=x.pth')
    with pytest.raises(ValueError, match='Give the weights as first=PATH'):
        load_parts(conversion, str(tmp_path / 'first.pth'))


def test_tool(tool, tmp_path, capsys):
    source = shared('data/weights/drbn_stage1_model_s1.pt')
    tool('tools/model_converters/official_to_mmskf').main(['drbn', str(source), str(tmp_path / 'drbn.pth')])
    assert '557,668 numbers' in capsys.readouterr().out
    with np.load(shared('data/weights/npz/drbn_model_s1.npz')) as arrays:
        expected = arrays['recur3.UPNet4.1.weight']
    weight = init_model('drbn_lol', tmp_path / 'drbn.pth').generator.recurrences[2].to_rgb4[1].weight
    assert np.array_equal(weight.detach().numpy(), expected)


def test_tool_refuses_unknown_methods(tool, capsys):
    with pytest.raises(SystemExit):
        tool('tools/model_converters/official_to_mmskf').main(['drbm', 'a', 'b'])
    assert "invalid choice: 'drbm'" in capsys.readouterr().err
