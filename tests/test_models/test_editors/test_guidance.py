"""How SKFEditor leads semantics to SE modules and losses, with a knowledge bank of a few thousand weights."""
import pytest
import torch
from mmagic.structures import DataSample
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper, OptimWrapperDict
from tiny_segmentor import SEGMENTOR

from mmskf.engine import Bf16OptimWrapper
from mmskf.models import EnhancementNet
from mmskf.registry import MODELS
from mmskf.structures import put_prior

SE = dict(type='SEModule', sources=(1, 0, 'logits'))
NETWORK = dict(type='DRBNNet', channels=4, growth=2)


def guided(se=SE, skb=dict(type='SemanticKnowledgeBank', model=SEGMENTOR), generator=NETWORK,
           recon_loss=dict(type='PyramidLoss', loss=dict(type='SSIMLoss')), **changes):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='SKFEditor',
            generator=dict(generator, se=se) if se else generator,
            recon_loss=recon_loss,
            skb=skb,
            data_preprocessor=dict(type='mmagic.DataPreprocessor', mean=[0.] * 3, std=[255.] * 3),
            **changes))
    if skb:
        model.skb.loaded = True  # random semantics are all right here
    return model.eval()


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(2, 3, 32, 48, generator=generator) for _ in range(2)]


@pytest.fixture
def looks(monkeypatch):
    """The images that the knowledge bank was shown."""
    from mmskf.models import SemanticKnowledgeBank
    seen, forward = [], SemanticKnowledgeBank.forward

    def spy(self, image):
        seen.append(image)
        return forward(self, image)

    monkeypatch.setattr(SemanticKnowledgeBank, 'forward', spy)
    return seen


def test_widths_come_from_the_bank():
    model = guided()
    widths = [module.embed.in_channels for module in model.generator.recurrences[3].se]
    assert widths == [8, 4, 5]


def test_se_input_and_loss_input_share_one_look(images, looks):
    lq, gt = images
    model = guided(sch_loss=dict(type='SCHLoss'))
    losses = model.forward_train(lq, DataSample(gt_img=gt))
    assert set(losses) == {'loss_recon', 'loss_SCH'}
    assert len(looks) == 1 and looks[0].data_ptr() == lq.data_ptr()


@pytest.mark.parametrize('se_input, loss_input', [('gt', 'gt'), ('lq', 'gt'), ('pred', 'pred'), ('gt', 'lq')])
def test_what_the_bank_is_shown_in_training(images, looks, se_input, loss_input):
    lq, gt = images
    model = guided(sch_loss=dict(type='SCHLoss'), se_input=se_input, loss_input=loss_input)
    outputs, prior = model.reconstruct(lq, gt)
    given = dict(lq=lq, gt=gt)
    if se_input == 'pred':
        assert looks[0].requires_grad and looks[1] is outputs[0] and prior.logits.requires_grad
    else:
        expected = list(dict.fromkeys([se_input, loss_input]))
        assert [next(name for name in given if given[name].data_ptr() == look.data_ptr()) for look in looks] == expected
        assert not prior.logits.requires_grad
    assert torch.equal(prior.logits, model.skb(outputs[0] if loss_input == 'pred' else given[loss_input]).logits)


def test_without_losses_that_need_it_there_is_no_prior_for_them(images, looks):
    outputs, prior = guided().reconstruct(*images)
    assert prior is None and len(looks) == 1


def test_test_passes(images, looks):
    lq, _ = images
    model = guided(test_passes=2)
    with torch.no_grad():
        first = model.generator(lq, model.skb(lq))[0]
        second = model.generator(lq, model.skb(first))[0]
        looks.clear()
        assert torch.equal(model(lq), second) and not torch.equal(first, second)
    assert len(looks) == 2


def test_semantics_matter(images):
    lq, _ = images
    model = guided()
    with torch.no_grad():
        assert not torch.equal(model(lq), model.generator(lq)[0])
        assert model(lq[..., :31, :45]).shape == (2, 3, 31, 45)


def test_sch_interval(images):
    model = guided(sch_loss=dict(type='SCHLoss'), sch_interval=3)
    hub = MessageHub.get_current_instance()
    acted = []
    for iteration in range(5):
        hub.update_info('iter', iteration)
        acted.append('loss_SCH' in model.forward_train(images[0], DataSample(gt_img=images[1])))
    hub.update_info('iter', 0)
    assert acted == [False, False, True, False, False]


@pytest.mark.parametrize('changes, message', [
    (dict(se=None), 'but nothing uses it'),
    (dict(loss_input='gt'), 'loss_input would act on a part of SKF that is not configured'),
    (dict(sch_interval=2), 'sch_interval would act'),
    (dict(sch_interval=0), 'sch_interval=0: choose 1'),
    (dict(se=None, sch_loss=dict(type='SCHLoss'), se_input='gt', test_passes=2), 'se_input and test_passes would act'),
])
def test_options_that_would_do_nothing(changes, message):
    with pytest.raises(ValueError, match=message):
        guided(**changes)


@pytest.mark.parametrize('generator', [dict(type='SNRNet', channels=8, layers=1), dict(type='HWMNet', channels=8)])
def test_only_some_networks_make_an_image_before_their_se_modules(generator):
    with pytest.raises(ValueError, match=f"se_input='pred': {generator['type']} makes no image"):
        guided(se=dict(SE, sources=(2, 1, 0)), generator=generator, se_input='pred')


@MODELS.register_module()
class DeafNet(EnhancementNet):
    """Takes ``se`` and builds nothing from it."""

    def __init__(self, se=None):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 1)

    def forward(self, inputs, prior=None):
        return self.conv(inputs)


def test_a_network_that_builds_no_se_module():
    with pytest.raises(ValueError, match='generator.se is configured, but DeafNet builds no SE module from it'):
        guided(generator=dict(type='DeafNet'))
    with pytest.raises(ValueError, match='generator.se needs a semantic knowledge bank'):
        guided(skb=None)


def test_a_network_without_the_contract():
    with pytest.raises(TypeError, match='model.generator is mmagic.SRCNNNet, which is not an EnhancementNet: .*SEWrapper'):
        guided(se=None, skb=None, generator=dict(type='mmagic.SRCNNNet'))


def test_crops_of_a_size_that_the_generator_does_not_take(images):
    with pytest.raises(ValueError, match='The training crops are 45x32.*multiples of 4: change crop_size'):
        guided().reconstruct(*(image[..., :45] for image in images))


def test_a_source_that_does_not_exist():
    with pytest.raises(ValueError, match=r"se.sources names 7.*choose from \[0, 1, 2, 3, 'logits'\]"):
        guided(se=dict(SE, sources=(7, 0, 'logits')))
    with pytest.raises(ValueError, match='names 2 sources, but this generator has 3 SE modules'):
        guided(se=dict(SE, sources=(1, 0)))


ADVERSARIAL = dict(
    sch_loss=dict(type='SCHLoss'),
    sa_loss=dict(type='SALoss', loss_weight=0.1, patch_size=32, min_pixels=16, edge_width=1),
    discriminator=dict(type='SADiscriminator'))


def batch(images):
    meta = dict(img_channel_order='rgb', gt_channel_order='rgb')
    lq, gt = ((image * 255).byte() for image in images)
    return dict(inputs=list(lq), data_samples=[DataSample(gt_img=picture, metainfo=meta) for picture in gt])


def optimizers(model, wrapper=OptimWrapper, **options):
    return OptimWrapperDict(**{
        name: wrapper(torch.optim.SGD(getattr(model, name).parameters(), lr=0.1), **options)
        for name in ('generator', 'discriminator')
    })


def test_adversarial_step(images):
    model = guided(**ADVERSARIAL).train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    logs = model.train_step(batch(images), optimizers(model))
    assert {'loss', 'loss_recon', 'loss_SCH', 'loss_SA_global', 'loss_SA_local', 'loss_D_global', 'loss_D_local'} == set(logs)
    assert logs['loss'].item() == pytest.approx(
        sum(logs[name].item() for name in ('loss_recon', 'loss_SCH', 'loss_SA_global', 'loss_SA_local')), rel=1e-5)
    changed = {name.split('.')[0] for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed == {'generator', 'discriminator'}


def test_half_precision_and_clipping(images):
    """In bfloat16 the losses are close to float32's, and a clipped step is short."""
    whole, half = (guided(**ADVERSARIAL).train() for _ in range(2))
    before = [weight.detach().clone() for weight in half.generator.parameters()]
    torch.manual_seed(0)
    clipped = dict(clip_grad=dict(max_norm=1e-3))
    expected = whole.train_step(batch(images), optimizers(whole, **clipped))
    torch.manual_seed(0)
    logs = half.train_step(batch(images), optimizers(half, Bf16OptimWrapper, **clipped))
    for name, value in expected.items():
        assert logs[name].item() == pytest.approx(value.item(), rel=0.1), name
    moved = sum(((old - new)**2).sum() for old, new in zip(before, half.generator.parameters()))
    assert 0 < moved**0.5 <= 1.01 * 0.1 * 1e-3


def test_adversarial_training_needs_two_optimizers(images):
    model = guided(**ADVERSARIAL).train()
    with pytest.raises(ValueError, match='optim_wrapper needs constructor="mmagic.MultiOptimWrapperConstructor"'):
        model.train_step(batch(images), OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1)))


def test_a_batch_without_any_large_region(images):
    """Every pixel near another class: no patch for SA, nothing left for SCH, and still a step."""
    changes = dict(ADVERSARIAL, sa_loss=dict(ADVERSARIAL['sa_loss'], min_pixels=10**6))
    model = guided(**dict(changes, sch_loss=dict(type='SCHLoss', edge_width=40))).train()
    logs = model.train_step(batch(images), optimizers(model))
    assert logs['loss_SA_local'] == 0 and logs['loss_D_local'] == 0
    assert all(torch.isfinite(value) for value in logs.values())


WITHOUT_SEMANTICS = dict(
    sch_loss=dict(type='SCHLoss', semantic=False),
    sa_loss=dict(type='SALoss', variant='classic', patch_size=32),
    discriminator=dict(type='SADiscriminator'))


def test_losses_without_semantics_train_without_a_bank(images):
    """Global histogram and classic adversarial loss (Table 4, 'w/o S')."""
    model = guided(se=None, skb=None, **WITHOUT_SEMANTICS).train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    logs = model.train_step(batch(images), optimizers(model))
    assert {'loss_recon', 'loss_SCH', 'loss_SA_global', 'loss_SA_local', 'loss_D_global', 'loss_D_local'} < set(logs)
    assert {name.split('.')[0] for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])} == {
        'generator', 'discriminator'}


def test_losses_without_semantics_do_not_ask_the_bank_of_the_se_modules(images, looks):
    model = guided(**WITHOUT_SEMANTICS).train()
    logs = model.train_step(batch(images), optimizers(model))
    assert len(looks) == 1 and logs['loss_SCH'] > 0  # one look for the SE modules
    mixed = guided(**dict(WITHOUT_SEMANTICS, sch_loss=dict(type='SCHLoss')))
    outputs, prior = mixed.reconstruct(*images)
    assert prior is not None and mixed.sch_loss.num_classes == 5
    assert mixed.discriminator.num_classes == 0  # D sees no class scores, though a bank is there
    with pytest.raises(ValueError, match='but nothing uses it'):
        guided(se=None, **WITHOUT_SEMANTICS)
    with pytest.raises(ValueError, match='loss_input would act'):
        guided(loss_input='gt', **WITHOUT_SEMANTICS)


def test_a_generator_starts_alike_with_and_without_a_bank():
    """Rows of an ablation that share a seed share the initial weights, however many random numbers the bank draws."""
    plain, with_bank = (guided(None, skb=None), guided(None, sch_loss=dict(type='SCHLoss')))
    weights = with_bank.generator.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in plain.generator.state_dict().items())


FEATURES_ONLY = dict(
    type='TransformersKnowledgeBank',
    model=dict(
        model_type='dinov2', hidden_size=16, num_attention_heads=2, num_hidden_layers=2, image_size=28, out_indices=(1, 2)))


def test_a_bank_without_class_scores_guides_se_modules_alone(images):
    lq, gt = images
    model = guided(se=dict(SE, sources=(1, 0, 'stride:16')), skb=FEATURES_ONLY).train()
    assert [module.embed.in_channels for module in model.generator.recurrences[3].se] == [16, 16, 16]
    losses = model.forward_train(lq, DataSample(gt_img=gt))
    assert set(losses) == {'loss_recon'}
    losses['loss_recon'].backward()
    assert all(module.embed.weight.grad.abs().sum() > 0 for module in model.generator.recurrences[3].se)


@pytest.mark.parametrize('losses, named', [
    (dict(sch_loss=dict(type='SCHLoss')), 'sch_loss needs .*set model.skb .*model.sch_loss=None'),
    (dict(sa_loss=dict(type='SALoss'), discriminator=dict(type='SADiscriminator')), 'sa_loss needs .*model.sa_loss=None'),
])
def test_losses_that_need_class_scores_refuse_a_bank_without(losses, named):
    with pytest.raises(ValueError, match=f'(?s){named}') as error:
        guided(se=dict(SE, sources=(1, 0, 0)), skb=FEATURES_ONLY, **losses)
    assert 'Dinov2Backbone of skb.model has features only' in str(error.value)


def test_a_source_of_class_scores_that_are_not_there():
    with pytest.raises(ValueError, match=r"se.sources names 'logits'.*choose from \[0, 1\], or 'stride:N' .* \(14, 14\)"):
        guided(skb=FEATURES_ONLY)


def test_classic_losses_need_no_class_scores():
    model = guided(se=dict(SE, sources=(1, 0, 0)), skb=FEATURES_ONLY, sch_loss=dict(type='SCHLoss', semantic=False))
    assert model.semantic_losses == []


def test_sources_by_stride():
    model = guided(se=dict(SE, sources=('stride:16', 'stride:8', 'stride:4')))
    assert [module.embed.in_channels for module in model.generator.recurrences[3].se] == [16, 8, 4]


def test_a_compiled_step_is_the_same(images):
    """As mmengine compiles it with ``compile=dict(backend='eager')``: graphs are taken, and broken where they have to be."""
    def step(compiled):
        model = guided(se=None, skb=None, generator=dict(type='DeafNet'), recon_loss=dict(type='mmagic.L1Loss')).train()
        train_step = torch.compile(model.train_step, backend='eager') if compiled else model.train_step
        inputs, gt = (list((image * 255).byte()) for image in images)
        meta = dict(img_channel_order='rgb', gt_channel_order='rgb')
        data = dict(inputs=inputs, data_samples=[DataSample(gt_img=image, metainfo=meta) for image in gt])
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
        losses = [train_step(data, wrapper)['loss'].item() for _ in range(2)]
        return losses, model.state_dict()

    (losses, weights), (expected_losses, expected) = step(True), step(False)
    assert losses == pytest.approx(expected_losses, rel=1e-5) and losses[0] != losses[1]
    for name, weight in weights.items():
        torch.testing.assert_close(weight, expected[name])


@pytest.mark.parametrize('se_input', ['lq', 'pred'])
def test_class_scores_that_nothing_reads_are_not_computed(images, monkeypatch, se_input):
    """Neither in testing nor in training; what comes out is the same."""
    lq, gt = images
    model = guided(se=dict(SE, sources=(2, 1, 0)), se_input=se_input)
    expected = model.generator(lq, model.skb if se_input == 'pred' else model.skb(lq))[0]
    monkeypatch.setattr(model.skb.segmentor, 'decode_head', None)
    assert torch.equal(model.enhance(lq), expected)
    outputs, prior = model.reconstruct(lq, gt)
    assert torch.equal(outputs[0], expected) and prior is None


def test_a_cached_prior_replaces_that_of_the_bank(images, monkeypatch):
    lq, gt = images
    model = guided(sch_loss=dict(type='SCHLoss'))
    expected = model(lq, DataSample(gt_img=gt), mode='loss')
    samples = DataSample(gt_img=gt)
    put_prior(samples, model.skb(lq))
    model.use_prior_cache()
    monkeypatch.setattr(model.skb, 'forward', None)
    found = model(lq, samples, mode='loss')
    assert found.keys() == expected.keys() == {'loss_recon', 'loss_SCH'}
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    with pytest.raises(ValueError, match='without their cached priors'):
        model(lq, DataSample(gt_img=gt), mode='loss')


@pytest.mark.parametrize('changes, message', [
    (dict(se_input='pred'), "se_input='pred', which is not the low-light image: change that"),
    (dict(sch_loss=dict(type='SCHLoss'), loss_input='gt'), "loss_input='gt', which is not"),
    (dict(skb=dict(type='SemanticKnowledgeBank', model=SEGMENTOR, bn='batch')), "skb.bn='batch'"),
    (dict(skb=dict(type='SemanticKnowledgeBank', model=SEGMENTOR, image_size=(64, 64)), se_input='gt'),
     "se_input='gt', .*; nor with model.skb.image_size"),
    (dict(se=None, skb=None), 'No part of this model reads the prior of a low-light image'),
])
def test_models_whose_priors_cannot_be_cached(changes, message):
    model = guided(**changes)
    with pytest.raises(ValueError, match=message):
        model.use_prior_cache()
    assert not model.uses_prior_cache


def test_mixed_images_have_no_cached_prior():
    model = guided()
    model.data_preprocessor = MODELS.build(dict(type='MixUpPreprocessor'))
    with pytest.raises(ValueError, match="data_preprocessor.type='MixUpPreprocessor', which may change images"):
        model.use_prior_cache()
