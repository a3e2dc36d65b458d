import json

import pytest
import torch
import torch.nn.functional as F
from golden import Golden, golden_file
from mmagic.structures import DataSample
from mmengine.optim import OptimWrapper, build_optim_wrapper

from mmskf.apis import load_config
from mmskf.converters import CONVERSIONS
from mmskf.models import EnlightenGANNet
from mmskf.models.editors.enlightengan import enlightengan_net
from mmskf.models.editors.enlightengan.enlightengan_editor import dim
from mmskf.models.editors.enlightengan.enlightengan_net import pad_around
from mmskf.registry import MODELS, PARAM_SCHEDULERS

SMALL = dict(generator=dict(type='EnlightenGANNet', channels=4), discriminator=dict(
    type='GlobalLocalDiscriminator', global_downs=2, local_downs=1))


def build(**options):
    torch.manual_seed(0)
    cfg = load_config('enlightengan_lol')
    model = MODELS.build(dict(cfg.model, **{**SMALL, **options})).train()
    return model, build_optim_wrapper(model, cfg.optim_wrapper)


def batch(size=48):
    low, bright = torch.randint(0, 256, (2, 2, 3, size, size), dtype=torch.uint8)
    meta = dict(img_channel_order='rgb', gt_channel_order='rgb')
    return dict(inputs=list(low // 4), data_samples=[DataSample(gt_img=image, metainfo=meta) for image in bright])


class FeatureLoss(torch.nn.Module):
    """Instead of VGG16: the distance to the low-light image."""

    def forward(self, outputs, gt):
        self.inputs = outputs.inputs
        return dict(loss_recon=F.mse_loss(outputs.image, outputs.inputs))


@pytest.fixture
def no_vgg(tmp_path, monkeypatch):
    """A cache of torchvision without weights."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))


def test_generator_and_discriminators_are_trained(no_vgg):
    """All losses are logged and finite, everything moves, and without the weights of VGG16 training goes on."""
    model, optimizers = build(recon_loss=dict(type='SelfFeatureLoss'))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    logs = model.train_step(batch(), optimizers)
    assert set(logs) == {'loss', 'loss_GAN_global', 'loss_GAN_local', 'loss_D_global', 'loss_D_local'}
    assert all(torch.isfinite(value) for value in logs.values())
    after = model.state_dict()
    assert all(not torch.equal(after[key], before[key]) for key in after if key.endswith('weight'))


def test_discriminators_learn_from_the_images_before_the_generator_s_step():
    """As released: G first, then D on what G had made; D gets nothing from G's step, and G nothing from D's."""
    model, optimizers = build()
    model.pixel_loss = FeatureLoss()
    seen = []
    step = model.adversarial_loss.discriminator_loss

    def spy(discriminator, outputs, real):
        seen.append((outputs, [weight.grad for weight in discriminator.parameters()],
                     model.generator(outputs.inputs)))
        return step(discriminator, outputs, real)

    model.adversarial_loss.discriminator_loss = spy
    model.dim_probability = 0.
    model.train_step(batch(), optimizers)
    (outputs, gradients, later), = seen
    assert all(gradient is None for gradient in gradients)
    assert not torch.equal(outputs.image, later)
    torch.manual_seed(0)
    untrained = MODELS.build(dict(load_config('enlightengan_lol').model, **SMALL)).train()
    assert torch.equal(untrained.generator(outputs.inputs), outputs.image)


def test_losses_see_the_image_from_before_it_is_dimmed():
    model, optimizers = build()
    model.pixel_loss = FeatureLoss()
    model.dim_probability = 1.
    given = []
    model.generator.register_forward_pre_hook(lambda module, args: given.append(args[0]))
    data = batch()
    model.train_step(data, optimizers)
    factor = model.pixel_loss.inputs / given[0]
    assert torch.equal(model.pixel_loss.inputs, torch.stack(data['inputs']) / 255)
    assert 2 <= factor.nanmean() <= 4
    model.eval()
    assert torch.equal(model(torch.zeros(1, 3, 48, 48), mode='tensor'), model.generator(given[1])) and not given[1].any()


def test_dim():
    """By 2.00 to 4.00 in steps of 0.01, one number per image, about half of the images."""
    torch.manual_seed(0)
    images = torch.ones(4000, 1, 2, 2)
    factors = 1 / dim(images, 0.5)
    assert torch.equal(factors.amin(dim=(1, 2, 3)), factors.amax(dim=(1, 2, 3)))
    factors = factors[:, 0, 0, 0]
    dimmed = factors[factors > 1.5]
    assert 0.45 < len(dimmed) / 4000 < 0.55
    assert dimmed.min().item() == pytest.approx(2) and dimmed.max().item() == pytest.approx(4)
    assert torch.allclose(100 * dimmed, (100 * dimmed).round(), atol=1e-3)
    assert dimmed.mean().item() == pytest.approx(3, abs=0.05)


def test_sch_and_sa_are_refused():
    with pytest.raises(ValueError, match='EnlightenGAN is trained without pairs: set both to None'):
        build(sch_loss=dict(type='SCHLoss', semantic=False))


def test_one_optimizer_is_not_enough():
    model, optimizers = build()
    with pytest.raises(ValueError, match='With a discriminator, optim_wrapper needs constructor='):
        model.train_step(batch(), optimizers['generator'])


@torch.no_grad()
def test_wide_images_are_enhanced_at_half_the_size(monkeypatch):
    """As released: by width alone, image and attention averaged over 2x2, the result enlarged."""
    monkeypatch.setattr(enlightengan_net, 'WIDEST', 40)
    net = EnlightenGANNet(channels=4).eval()
    for height, width in ((64, 40), (32, 48), (33, 49)):
        image = torch.rand(1, 3, height, width)
        enhanced = net(image)
        assert enhanced.shape == image.shape
        if width <= 40:
            continue
        half = F.avg_pool2d(image, 2)
        expected = F.interpolate(net(half), (height, width), mode='bilinear', align_corners=True)
        assert torch.allclose(enhanced, expected, atol=1e-6)


def test_padding():
    """Mirrored on both sides, one pixel more at the end if the number is odd; images too small for it repeat their border."""
    padded, inside = pad_around(torch.arange(9.).view(1, 1, 1, 9), 4)
    assert padded[0, 0, 0].tolist() == [1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 7, 6] and padded.shape[-2] == 4
    assert padded[(..., *inside)][0, 0, 0].tolist() == list(range(9))


def test_weights_without_batch_counters():
    """The released ones are from PyTorch 0.3, whose norms do not count batches."""
    weights = Golden('enlightengan').weights()
    old = {key: value for key, value in weights.items() if not key.endswith('num_batches_tracked')}
    converted = CONVERSIONS['enlightengan'].rename(old)
    assert len(old) < len(weights) == len(converted)
    assert converted.keys() == CONVERSIONS['enlightengan'].rename(weights).keys() == EnlightenGANNet().state_dict().keys()


@pytest.mark.filterwarnings('ignore:Detected call')
def test_learning_rate_of_the_authors():
    """By epoch: constant for 100, then linearly to 0."""
    expected = json.loads(golden_file('lr_schedules_compared.json').read_text())['enlightengan']
    cfg = load_config('enlightengan_unpaired')
    optimizer = OptimWrapper(torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=cfg.optim_wrapper.optimizer.lr))
    schedulers = [PARAM_SCHEDULERS.build(dict(scheduler, optimizer=optimizer)) for scheduler in cfg.param_scheduler]
    assert cfg.train_cfg.max_iters == 200 * cfg.default_hooks.param_scheduler.epoch_length
    for epoch in range(1, 201):
        if str(epoch) in expected:
            assert optimizer.get_lr()['lr'] == pytest.approx([expected[str(epoch)]], rel=1e-8), epoch
        for scheduler in schedulers:
            scheduler.step()


def test_a_resumed_training_equals_an_uninterrupted_one(tool, pairs, no_vgg, tmp_path):
    """Partners, crops, patches and dimming are drawn as they would have been."""

    def train(work_dir, iterations, *args):
        tool('tools/train').main([
            'enlightengan_lol', '--data-root', str(pairs), '--work-dir', str(work_dir), *args, '--cfg-options',
            'model.generator.channels=4', 'model.discriminator.global_downs=1', 'model.discriminator.local_downs=1',
            'train_dataloader.batch_size=2', 'train_dataloader.num_workers=0',
            *(f'train_dataloader.dataset.{option}' for option in (
                'data_prefix.img=train/low', 'data_prefix.gt=train/high', 'pipeline.2.crop_size=36', 'pipeline.3.crop_size=36')),
            f'train_cfg.max_iters={iterations}', 'default_hooks.checkpoint.interval=1', 'val_cfg=None', 'val_dataloader=None',
            'val_evaluator=None'])
        return torch.load(work_dir / f'iter_{iterations}.pth')['state_dict']

    whole = train(tmp_path / 'whole', 2)
    train(tmp_path / 'resumed', 1)
    resumed = train(tmp_path / 'resumed', 2, '--resume')
    assert not [key for key in whole if not key.startswith(('generator.', 'discriminator.'))]
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())
