from types import SimpleNamespace

import pytest
import torch
from golden import Golden
from mmengine.logging import MessageHub

from mmskf.apis import init_model, load_config
from mmskf.converters import CONVERSIONS
from mmskf.models import SNRNet
from mmskf.models.editors.snr import snr_net
from mmskf.registry import MODELS


@pytest.fixture(scope='module')
def golden():
    return Golden('snr_skf')


@pytest.fixture(scope='module')
def editor(golden):
    model = init_model('snr_skf_lol_official')
    model.generator.load_state_dict(CONVERSIONS['snr_skf'].rename(golden.weights()))
    return model


@pytest.fixture(scope='module')
def whole(editor):
    """The official editor with the weights that the end-to-end figures were made with: network and knowledge bank."""
    bank = CONVERSIONS['hrnet_w48_pascal59'].rename(Golden('hrnet_w48_pascal59').weights())
    editor.skb.segmentor.load_state_dict(bank)
    editor.skb.loaded = True
    return editor


def test_end_to_end_in_testing(whole, monkeypatch):
    """The second pass sees the dark image again, with the prior of what the first pass made of it."""
    golden, case = Golden('e2e_snr_skf'), 'batch2_64x96'
    image = golden.inputs(case)['x']
    with torch.no_grad():
        golden.check(case, 'test_pass2', whole(image))
        monkeypatch.setattr(whole, 'test_passes', 1)
        first = whole(image)
        golden.check(case, 'test_pass1', first)
        golden.check(case, 'test_seg2_argmax', whole.skb(first).labels)


def test_end_to_end_in_training(whole, monkeypatch):
    """The loss with its gradients. In float64, since a ReLU on its edge makes float32 gradients depend on the number of
    threads; but with the float32 map of the reference, which rounding changes a lot."""
    golden, case = Golden('e2e_snr_skf'), 'batch2_64x96'
    inputs = {name: value.double() for name, value in golden.inputs(case).items()}
    monkeypatch.setattr(snr_net, 'snr_map', lambda image, blurred: inputs['mask'])
    monkeypatch.setattr(whole, 'sch_interval', 1)
    whole.train().double()
    output, prior = whole.reconstruct(inputs['x'], inputs['gt'])
    golden.check(case, 'train_fake', output)
    golden.check(case, 'train_seg_argmax', prior.labels)
    losses = whole.losses(output, inputs['gt'], prior)
    assert set(losses) == {'loss_recon', 'loss_SCH'}
    golden.check(case, 'train_l_pix', losses['loss_recon'])
    golden.check(case, 'train_l_hist', losses['loss_SCH'] / 10000)
    total = sum(losses.values())
    golden.check(case, 'train_total', total)

    weights = dict(whole.generator.named_parameters())
    names = [name for name in golden.meta['outputs'] if name.startswith('train_grad:')]
    ours = [next(iter(CONVERSIONS['snr_skf'].rename({name.split(':')[1]: None}))) for name in names]
    for name, gradient in zip(names, torch.autograd.grad(total, [weights[name] for name in ours])):
        golden.check(case, name, gradient)
    whole.eval().float()


@pytest.mark.parametrize('iteration, terms', [(0, {'loss_recon'}), (48, {'loss_recon'}), (49, {'loss_recon', 'loss_SCH'}),
                                              (50, {'loss_recon'})])
def test_the_released_sch_loss_acts_in_every_50th_iteration(editor, iteration, terms, monkeypatch):
    monkeypatch.setattr(MessageHub.get_current_instance(), 'get_info', lambda *_: iteration)
    image, labels = torch.rand(1, 3, 16, 16), torch.zeros(1, 16, 16, dtype=torch.long)
    losses = editor.losses(image, image, SimpleNamespace(labels=labels))
    assert set(losses) == terms
    assert losses['loss_recon'].item() == pytest.approx(image.numel() * 1e-3, rel=1e-5)  # a sum of sqrt(0 + 1e-6)


def test_where_the_se_modules_read(editor):
    """Deep with deep: 1/4 reads the 192 channels at 1/16, 1/1 the 48 channels at 1/4."""
    assert [module.semantic_channels for module in editor.generator.se] == [192, 96, 48]


def test_the_released_training_starts_from_the_baseline(tmp_path):
    """The baseline's weights arrive when a training begins, and the SE modules, which it lacks, keep their own."""
    plain = SNRNet(channels=8, layers=1)
    torch.save({'state_dict': {f'generator.{name}': weight for name, weight in plain.state_dict().items()}},
               tmp_path / 'snr.pth')
    cfg = load_config('snr_skf_lol_official').model.generator
    assert cfg.init_cfg.checkpoint == 'checkpoints/snr_lol.pth'
    cfg.update(channels=8, layers=1, _scope_='mmskf')
    cfg.init_cfg.checkpoint = str(tmp_path / 'snr.pth')
    cfg.se.semantic_channels = {0: 4, 1: 4, 2: 4}
    guided = MODELS.build(cfg)
    se = {name: weight.clone() for name, weight in guided.se.state_dict().items()}
    assert not torch.equal(guided.to_rgb.weight, plain.to_rgb.weight)
    guided.init_weights()
    weights = guided.state_dict()
    assert all(torch.equal(weights[name], weight) for name, weight in plain.state_dict().items())
    assert all(torch.equal(weights[f'se.{name}'], weight) for name, weight in se.items())
