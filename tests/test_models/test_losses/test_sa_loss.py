import pytest
import torch
import torch.nn.functional as F
from golden import Golden
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmskf.models.discriminators import SADiscriminator
from mmskf.models.losses import inside_regions
from mmskf.registry import MODELS
from mmskf.structures import SemanticPrior

SIZE = 96


class Brightness(nn.Module):
    """Takes dark patches for fake, and notes what it is given."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen = []

    def forward(self, inputs):
        self.seen.append((inputs.detach(), self.training, torch.is_grad_enabled()))
        return self.scale * inputs[:, :3].mean(dim=(1, 2, 3), keepdim=False)[:, None]


class Constant(Brightness):
    """Has one score for everything."""

    def __init__(self, score):
        super().__init__()
        self.score = score

    def forward(self, inputs):
        return super().forward(inputs) * 0 + self.score


def build(**kwargs):
    return MODELS.build(dict(type='SALoss', **kwargs))


def prior_of(labels, num_classes=5):
    logits = F.one_hot(labels, num_classes).permute(0, 3, 1, 2).float()
    return SemanticPrior((), logits.requires_grad_())


def quadrants(*samples):
    """Label maps of 96x96 whose four quadrants hold the classes given for each sample."""
    return torch.tensor(samples).view(-1, 2, 2).repeat_interleave(SIZE // 2, 1).repeat_interleave(SIZE // 2, 2)


def image_of(labels, brightness):
    """Each class in its own shade of grey."""
    return torch.tensor(brightness)[labels][:, None].repeat(1, 3, 1, 1)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    labels = quadrants([0, 1, 2, 3], [3, 3, 1, 4])
    pred, gt = torch.rand(2, 2, 3, SIZE, SIZE)
    return pred.requires_grad_(), gt, prior_of(labels)


class TestOfficial:

    @pytest.fixture
    def case(self):
        golden = Golden('sa_loss_drbn')
        inputs = golden.inputs('batch2')
        pred = inputs['out'].requires_grad_()
        prior = SemanticPrior((), golden.full_logits('batch2', pred.shape[-2:]).requires_grad_())
        prior.probs.retain_grad()
        discriminator = SADiscriminator(59, 'official')
        discriminator.load_state_dict(golden.weights(), strict=True)
        return golden, discriminator, pred, inputs['gt'], prior

    def test_discriminator_loss(self, case):
        golden, discriminator, *batch = case
        losses = build(variant='official').discriminator_loss(discriminator, *batch)
        loss = losses['loss_D_local'] + losses['loss_D_global']
        loss.backward()
        pred, _, prior = batch
        golden.check('batch2', 'loss_D', loss)
        golden.check('batch2', 'loss_D_grad_out', pred.grad)
        golden.check('batch2', 'loss_D_grad_seg_coarse', prior.probs.grad.sum(dim=1, keepdim=True))
        golden.check('batch2', 'loss_D_grad_seg_nonzero_classes', (prior.probs.grad != 0).any(3).any(2).float())
        golden.check('batch2', 'bn2_running_mean_after_D', discriminator.bn2.running_mean)
        golden.check('batch2', 'bn8_running_var_after_D', discriminator.bn8.running_var)
        for name in ('conv1.weight', 'conv2.weight', 'bn2.weight', 'bn8.bias', 'conv9.weight', 'conv9.bias'):
            golden.check('batch2', f'loss_D_grad_param:{name}', discriminator.get_parameter(name).grad)
        assert discriminator.conv0.weight.grad is None

    def test_generator_loss(self, case):
        golden, discriminator, *batch = case
        losses = build(variant='official').generator_loss(discriminator, *batch)
        assert list(losses) == ['loss_SA_global']
        losses['loss_SA_global'].backward()
        pred, _, prior = batch
        golden.check('batch2', 'loss_G', losses['loss_SA_global'])
        golden.check('batch2', 'loss_G_grad_out', pred.grad)
        golden.check('batch2', 'loss_G_grad_seg', prior.probs.grad)
        assert all(parameter.grad is None for parameter in discriminator.parameters())

    def test_weight_belongs_to_the_generator(self, case):
        _, discriminator, *batch = case
        state = {key: value.clone() for key, value in discriminator.state_dict().items()}
        for method, factor in (('generator_loss', 0.1), ('discriminator_loss', 1)):
            values = []
            for weight in (1, 0.1):
                discriminator.load_state_dict(state)
                losses = getattr(build(variant='official', loss_weight=weight), method)(discriminator, *batch)
                values.append(sum(losses.values()).item())
            assert values[1] == pytest.approx(factor * values[0])


def test_closed_form_of_a_constant_discriminator(batch):
    loss = build(loss_weight=0.5)
    losses = loss.discriminator_loss(Constant(0.3), *batch)
    assert losses['loss_D_local'].item() == pytest.approx(0.7**2 + 0.3**2)
    assert losses['loss_D_global'].item() == pytest.approx(0.7**2 + 0.3**2)
    losses = loss.generator_loss(Constant(0.3), *batch)
    assert losses['loss_SA_local'].item() == pytest.approx(0.5 * 0.7**2)
    assert losses['loss_SA_global'].item() == pytest.approx(0.5 * 0.7**2)


class TestClassic:
    """Without semantics: random crops against random crops, images against images, and no prior."""

    def test_closed_form(self, batch):
        pred, gt, prior = batch
        loss = build(variant='classic', loss_weight=0.5)
        for given in ((), (prior, )):
            losses = loss.discriminator_loss(Constant(0.3), pred, gt, *given)
            assert [value.item() for value in losses.values()] == [pytest.approx(0.7**2 + 0.3**2)] * 2
            losses = loss.generator_loss(Constant(0.3), pred, gt, *given)
            assert [value.item() for value in losses.values()] == [pytest.approx(0.5 * 0.7**2)] * 2

    def test_what_the_discriminator_sees(self, batch):
        pred, gt, prior = batch
        discriminator = Brightness()
        torch.manual_seed(0)
        losses = build(variant='classic').discriminator_loss(discriminator, pred, gt, prior)
        (real, *_), (fake, *_), *whole = discriminator.seen
        for patches, images in ((real, gt), (fake, pred)):
            for patch, image in zip(patches, images):
                windows = image.unfold(1, 64, 1).unfold(2, 64, 1)
                assert (windows == patch[:, None, None]).all(dim=0).all(dim=-1).all(dim=-1).sum() == 1
        assert torch.equal(whole[0][0], gt) and torch.equal(whole[1][0], pred)
        assert all(training and grad for _, training, grad in discriminator.seen)  # nothing is ranked
        bright = [image.mean(dim=(1, 2, 3)) for image in (real, fake, gt, pred)]
        for name, (of_real, of_fake) in dict(local=bright[:2], whole=bright[2:]).items():
            expected = ((of_real - 1)**2).mean() + (of_fake**2).mean()
            torch.testing.assert_close(losses[f'loss_D_{"global" if name == "whole" else name}'], expected)

    def test_fake_crops_are_drawn_anew(self, batch):
        pred, gt, _ = batch
        discriminator, loss = Brightness(), build(variant='classic')
        for _ in range(2):
            loss.generator_loss(discriminator, pred, gt)['loss_SA_local'].backward()
        assert not torch.equal(discriminator.seen[0][0], discriminator.seen[2][0])
        assert (pred.grad != 0).any(dim=1).sum() > 2 * 64 * 64  # two crops of each image, not at one place

    def test_images_smaller_than_a_patch(self):
        discriminator = Brightness()
        dark, bright = torch.full((1, 3, 40, 96), 0.25), torch.ones(1, 3, 40, 96)
        losses = build(variant='classic').discriminator_loss(discriminator, dark, bright)
        assert losses['loss_D_local'].item() == pytest.approx(0.25**2)
        assert discriminator.seen[0][0].shape == discriminator.seen[1][0].shape == (1, 3, 64, 64)

    def test_reaches_every_weight_of_a_discriminator_with_one_stem(self, batch):
        pred, gt, _ = batch
        discriminator, loss = SADiscriminator(num_classes=0), build(variant='classic')
        before = {key: value.clone() for key, value in discriminator.state_dict().items()}
        sum(loss.generator_loss(discriminator, pred, gt).values()).backward()
        assert pred.grad.abs().sum() > 0
        assert all(torch.equal(value, before[key]) for key, value in discriminator.state_dict().items())
        sum(loss.discriminator_loss(discriminator, pred, gt).values()).backward()
        assert all(weight.grad is not None for weight in discriminator.parameters())
        assert discriminator.conv1.weight.grad.abs().sum() > 0


def test_a_semantic_variant_needs_a_prior(batch):
    for variant in ('paper', 'official'):
        with pytest.raises(ValueError, match=f"variant='{variant}'.* needs the semantic prior"):
            build(variant=variant).generator_loss(Constant(0.5), *batch[:2])


def test_the_worst_region_of_each_sample_is_the_fake_patch():
    labels = quadrants([0, 1, 2, 3], [3, 1, 4, 0])
    shades = [0.4, 0.2, 0.9, 0.3, 0.1]
    pred, prior, loss, discriminator = image_of(labels, shades).requires_grad_(), prior_of(labels), build(), Brightness()
    local = loss.generator_loss(discriminator, pred, pred.detach(), prior)['loss_SA_local']
    assert local.item() == pytest.approx(((1 - 0.2)**2 + (1 - 0.1)**2) / 2)
    local.backward()
    chosen = pred.grad.abs().sum(dim=1) > 0
    assert torch.equal(chosen, (labels == torch.tensor([1, 4])[:, None, None]) & inside_regions(labels, 2))
    fake = discriminator.seen[1][0]
    torch.testing.assert_close(fake, torch.tensor([0.2, 0.1])[:, None, None, None].expand(2, 3, 64, 64))

    losses = loss.discriminator_loss(discriminator, pred, torch.ones_like(pred), prior)
    assert losses['loss_D_local'].item() == pytest.approx((0.2**2 + 0.1**2) / 2)


def test_pixels_outside_the_region_and_near_its_boundary_get_no_gradient(batch):
    pred, gt, _ = batch
    labels = torch.zeros(2, SIZE, SIZE, dtype=torch.int64)
    labels[:, 20:70, 30:90] = 1
    labels[:, 40:, 50:] = 0  # class 1 is an L, whose box holds much of class 0
    loss = build(edge_width=3, max_regions=1, patch_size=32)  # a third of the image: resizing must skip no pixel
    loss.generator_loss(Brightness(), pred, gt, prior_of(labels))['loss_SA_local'].backward()
    assert torch.equal(pred.grad.abs().sum(dim=1) > 0, (labels == 0) & inside_regions(labels, 3))


def test_ranks_all_candidates_in_one_batch_without_gradient(batch):
    pred, gt, prior = batch
    discriminator = Brightness()
    build().discriminator_loss(discriminator, pred, gt, prior)
    assert [tuple(inputs.shape) for inputs, _, _ in discriminator.seen] == [
        (4 + 3, 3, 64, 64), (2, 3, 64, 64), (2, 3, 64, 64), (2, 8, SIZE, SIZE), (2, 8, SIZE, SIZE)]
    assert [training for _, training, _ in discriminator.seen] == [False, True, True, True, True]
    assert [grad for _, _, grad in discriminator.seen] == [False, True, True, True, True]
    for (inputs, _, _), image in zip(discriminator.seen[3:], (gt, pred)):
        assert torch.equal(inputs, torch.cat((image, prior.logits), dim=1))


def test_candidates_are_the_largest_cleaned_regions():
    labels = torch.zeros(1, SIZE, SIZE, dtype=torch.int64)
    labels[:, :50, :50] = 1
    labels[:, 60:80, :30] = 2
    labels[:, 60:76, 60:76] = 3  # 12x12 = 144 pixels when cleaned
    pred = image_of(labels, [0.9, 0.7, 0.5, 0.3])

    def worst(**kwargs):
        discriminator = Constant(0.5)
        build(edge_width=2, **kwargs).generator_loss(discriminator, pred, pred, prior_of(labels))
        return sorted(round(patch.max().item(), 3) for patch in discriminator.seen[0][0])

    assert worst(min_pixels=144) == [0.3, 0.5, 0.7, 0.9]
    assert worst(min_pixels=145) == [0.5, 0.7, 0.9]
    assert worst(min_pixels=1, max_regions=2) == [0.7, 0.9]


def test_gradient_goes_where_it_should(batch):
    pred, gt, prior = batch
    discriminator = SADiscriminator(num_classes=5)
    loss = build()
    sum(loss.discriminator_loss(discriminator, pred, gt, prior).values()).backward()
    assert pred.grad is None and prior.logits.grad is None
    assert all(parameter.grad is not None for parameter in discriminator.parameters())
    assert discriminator.conv0.weight.grad.abs().sum() > 0 and discriminator.conv1.weight.grad.abs().sum() > 0

    discriminator.zero_grad()
    sum(loss.generator_loss(discriminator, pred, gt, prior).values()).backward()
    assert pred.grad.abs().sum() > 0 and prior.logits.grad.abs().sum() > 0
    assert all(parameter.grad is None and parameter.requires_grad for parameter in discriminator.parameters())


def test_only_what_the_discriminator_trains_on_moves_its_running_statistics(batch):
    pred, gt, prior = batch
    discriminator = SADiscriminator(num_classes=5)
    discriminator.bn5.eval()  # frozen by its owner; must stay so
    before = {key: value.clone() for key, value in discriminator.state_dict().items()}
    build().generator_loss(discriminator, pred, gt, prior)
    assert all(torch.equal(value, before[key]) for key, value in discriminator.state_dict().items())
    build().discriminator_loss(discriminator, pred, gt, prior)
    assert discriminator.bn2.num_batches_tracked == 4  # real and fake, local and global; not the ranking
    assert discriminator.training and discriminator.bn2.training and not discriminator.bn5.training


def test_generator_pass_normalises_by_the_batch(batch):
    """The scores of the generator's pass are those of D in training mode, as D sees them in its own pass."""
    pred, gt, prior = batch
    discriminator = SADiscriminator(num_classes=5)
    whole = build().generator_loss(discriminator, pred, gt, prior)['loss_SA_global']
    expected = ((discriminator(torch.cat((pred, prior.logits), dim=1)) - 1)**2).mean()
    torch.testing.assert_close(whole, expected)


@pytest.mark.parametrize('real_mask', [False, True])
def test_real_patches_are_random_crops(batch, real_mask):
    pred, gt, prior = batch
    loss = build(real_mask=real_mask)

    def real_patches(seed):
        discriminator = Constant(0.5)
        torch.manual_seed(seed)
        loss.discriminator_loss(discriminator, pred, gt, prior)
        return discriminator.seen[1][0]

    assert torch.equal(real_patches(1), real_patches(1))
    assert not torch.equal(real_patches(1), real_patches(2))
    for patch, image in zip(real_patches(1), gt):
        windows = image.unfold(1, 64, 1).unfold(2, 64, 1)  # (3, 33, 33, 64, 64)
        # the regions of this batch fill their boxes, so that their masks change nothing
        assert (windows == patch[:, None, None]).all(dim=0).all(dim=-1).all(dim=-1).sum() == 1


def test_real_mask_is_that_of_the_fake_patch():
    labels = torch.zeros(1, SIZE, SIZE, dtype=torch.int64)
    labels[:, 30:, 30:] = 1
    ones = torch.ones(1, 3, SIZE, SIZE)
    discriminator = Constant(0.5)
    build(real_mask=True, max_regions=1).discriminator_loss(discriminator, ones, ones, prior_of(labels))
    (real, _, _), (fake, _, _) = discriminator.seen[1:3]
    torch.testing.assert_close(real, fake)
    assert (real == 0).any() and (real == 1).any()


def test_images_smaller_than_a_patch():
    labels = torch.zeros(1, 40, 96, dtype=torch.int64)
    discriminator = Brightness()
    losses = build().discriminator_loss(discriminator, torch.zeros(1, 3, 40, 96), torch.full((1, 3, 40, 96), 0.25),
                                        prior_of(labels))
    assert losses['loss_D_local'].item() == pytest.approx(0.75**2)
    assert discriminator.seen[1][0].shape == (1, 3, 64, 64)


class TestNoRegion:
    """Batches in which labels change so often that nothing is left of the regions but their boundaries."""
    nothing = torch.arange(SIZE * SIZE).view(1, SIZE, SIZE) % 5

    def test_local_terms_are_zeros_that_reach_everything(self, batch):
        pred, gt, _ = batch
        discriminator = SADiscriminator(num_classes=5)
        prior = prior_of(self.nothing.expand(2, -1, -1))
        local = build().discriminator_loss(discriminator, pred, gt, prior)['loss_D_local']
        local.backward()
        assert local == 0 and all((parameter.grad == 0).all() for parameter in discriminator.parameters())
        discriminator.zero_grad()
        local = build().generator_loss(discriminator, pred, gt, prior)['loss_SA_local']
        local.backward()
        assert local == 0 and (pred.grad == 0).all()

    def test_a_sample_without_regions_has_no_local_term(self, batch):
        pred, gt, _ = batch
        labels = torch.cat((self.nothing, quadrants([1, 1, 1, 1])))
        discriminator = Brightness()
        build().generator_loss(discriminator, pred, gt, prior_of(labels))['loss_SA_local'].backward()
        assert [len(inputs) for inputs, _, _ in discriminator.seen] == [1, 1, 2]
        assert (pred.grad[0] == 0).all() and (pred.grad[1] != 0).all()

    @pytest.mark.filterwarnings('ignore:.broadcast_buffers. is deprecated')
    @pytest.mark.parametrize('variant', ['paper', 'official'])
    def test_distributed_training_goes_on(self, batch, tmp_path, variant):
        """The reducer raises in a forward pass when the step before left a parameter without gradient."""
        pred, gt, prior = batch
        pred, gt = pred[:1, :, :32, :32].detach().requires_grad_(), gt[:1, :, :32, :32]
        loss = build(variant=variant)
        torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
        try:
            discriminator = DistributedDataParallel(SADiscriminator(5, variant), broadcast_buffers=False)
            for logits in (prior.logits, prior_of(self.nothing).logits, prior.logits):
                prior = SemanticPrior((), logits[:1, :, :32, :32].detach())
                sum(loss.discriminator_loss(discriminator, pred.detach(), gt, prior).values()).backward()
                sum(loss.generator_loss(discriminator, pred, gt, prior).values()).backward()
        finally:
            torch.distributed.destroy_process_group()


def test_one_sample(batch):
    pred, gt, prior = batch
    prior = SemanticPrior((), prior.logits[:1])
    discriminator = SADiscriminator(num_classes=5)
    losses = {**build().discriminator_loss(discriminator, pred[:1], gt[:1], prior),
              **build().generator_loss(discriminator, pred[:1], gt[:1], prior)}
    assert len(losses) == 4 and all(0 < loss < 2 for loss in losses.values())


class Pooled(nn.Module):
    """The smallest discriminator whose weights autocast casts."""

    def __init__(self):
        super().__init__()
        self.image, self.scored_image = nn.Linear(3, 1), nn.Linear(8, 1)

    def forward(self, inputs):
        stem = self.image if inputs.shape[1] == 3 else self.scored_image
        return stem(inputs.mean(dim=(2, 3))).sigmoid()


@pytest.mark.parametrize('variant', ['paper', 'official'])
def test_autocast(batch, variant):
    pred, gt, prior = batch
    pred, prior = pred.detach(), SemanticPrior((), prior.logits.detach())
    discriminator, loss = Pooled(), build(variant=variant)

    def losses(pred):
        torch.manual_seed(0)  # the same real crops
        of_discriminator = loss.discriminator_loss(discriminator, pred, gt, prior)
        discriminator.zero_grad()
        sum(of_discriminator.values()).backward()
        return {**of_discriminator, **loss.generator_loss(discriminator, pred, gt, prior)}

    plain = losses(pred)
    expected = discriminator.image.weight.grad.clone()
    with torch.autocast('cpu', torch.bfloat16):
        cast = losses(pred.bfloat16())
    # no cast that the ranking has made without a graph is used in a pass that needs one
    torch.testing.assert_close(discriminator.image.weight.grad, expected, rtol=0.05, atol=2e-3)
    for name, value in cast.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, plain[name], rtol=0, atol=0.02)


class Smooth(nn.Module):
    """Has second derivatives everywhere, and float64 inside."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, inputs):
        waves = torch.linspace(-1, 1, inputs.shape[-1], dtype=torch.float64)
        return (self.scale * inputs * waves).sin().mean(dim=(1, 2, 3))[:, None]


def test_gradcheck():
    """Through mask, crop, antialiased resizing and both terms, in float64."""
    labels = torch.zeros(1, 7, 8, dtype=torch.int64)
    labels[:, 4:, 3:] = 1
    torch.manual_seed(0)
    pred, gt = torch.rand(2, 1, 3, 7, 8, dtype=torch.float64)
    logits = F.one_hot(labels, 2).permute(0, 3, 1, 2) + 0.1 * torch.rand(1, 2, 7, 8, dtype=torch.float64)
    scale = torch.tensor(1.5, dtype=torch.float64)
    loss = build(patch_size=32, min_pixels=4, edge_width=1)

    def generator_loss(pred, logits):
        return tuple(loss.generator_loss(Smooth(scale), pred, gt, SemanticPrior((), logits)).values())

    def discriminator_loss(scale):
        torch.manual_seed(0)  # the same real crops at every call
        return tuple(loss.discriminator_loss(Smooth(scale), pred, gt, SemanticPrior((), logits)).values())

    assert torch.autograd.gradcheck(generator_loss, (pred.requires_grad_(), logits.requires_grad_()))
    assert torch.autograd.gradcheck(discriminator_loss, (scale.clone().requires_grad_(),))


@pytest.mark.parametrize('kwargs, message', [
    (dict(variant='offical'), "'offical'; choose one of"),
    (dict(patch_size=16), 'patch_size of SALoss is 16, expected 32 or more')])
def test_bad_options(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)


@pytest.mark.parametrize('side', ['gt', 'logits'])
def test_bad_sizes(batch, side):
    pred, gt, prior = batch
    if side == 'gt':
        gt = gt[..., :-1]
    else:
        prior = SemanticPrior((), prior.logits[..., ::4, ::4])
    for method in (build().discriminator_loss, build().generator_loss):
        with pytest.raises(ValueError, match='the logits of the prior their size'):
            method(Brightness(), pred, gt, prior)
