import numpy as np
import pytest
import torch
from golden import Golden, shared
from mmagic.structures import DataSample
from PIL import Image
from tiny_llflow import GENERATOR, tiny_llflow
from tiny_segmentor import SEGMENTOR

from mmskf.apis import SKFInferencer, init_model, load_config
from mmskf.converters import CONVERSIONS
from mmskf.datasets import AppendEqualized
from mmskf.models import log_image

SKF = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0), heads=1)),
    skb=dict(type='SemanticKnowledgeBank', model=SEGMENTOR),
    sch_loss=dict(type='SCHLoss'))
KINDS = pytest.mark.parametrize('changes', [{}, SKF], ids=['plain', 'skf'])


def images(*size, batch=1):
    """Inputs of the editor, and a ground truth."""
    torch.manual_seed(0)
    return torch.rand(batch, 6, *size), torch.rand(batch, 3, *size)


@KINDS
@pytest.mark.parametrize('size', [(1, 1), (7, 9), (37, 53), (40, 56)])
@torch.no_grad()
def test_any_size(changes, size):
    model = tiny_llflow(**changes)
    inputs, _ = images(*size)
    image = model(inputs)
    assert image.shape == (1, 3, *size) and image.isfinite().all()
    if size == (40, 56):
        prior = model.skb(inputs[:, :3]) if model.skb else None
        lr = torch.cat([log_image(inputs[:, :3]), inputs[:, 3:]], dim=1)
        assert torch.equal(image, model.generator(lr, prior))


def test_log_image():
    assert log_image(torch.tensor([0., 1., -1.])).tolist() == pytest.approx(np.log([1e-3, 1.001, 1e-3]).tolist(), abs=1e-6)


@pytest.mark.parametrize('inputs, message', [
    (torch.rand(1, 3, 16, 16), 'given 3 channels, expected 6.*AppendEqualized'),
    (torch.full((1, 6, 16, 16), torch.nan), '1536 of 1536 input values are NaN or infinite'),
    (torch.rand(1, 6, 0, 16), r'inputs of shape \(1, 6, 0, 16\).*multiples of 8'),
])
def test_bad_input(inputs, message):
    with pytest.raises(ValueError, match=message):
        tiny_llflow()(inputs)


def test_the_network_takes_multiples_of_8():
    with pytest.raises(ValueError, match=r'inputs of shape \(1, 6, 12, 16\)'):
        tiny_llflow().generator(torch.rand(1, 6, 12, 16))
    inputs, gt = images(12, 16)
    with pytest.raises(ValueError, match='training crops are 16x12.*multiples of 8'):
        tiny_llflow()(inputs, DataSample(gt_img=gt), mode='loss')


def test_too_small_for_statistics_of_the_batch():
    model = tiny_llflow(**dict(SKF, skb=dict(SKF['skb'], bn='batch')))
    assert model(images(40, 8)[0]).isfinite().all()
    with pytest.raises(ValueError, match="one image of 24x16 pixels has a single value.*set skb.bn='eval'"):
        model(images(13, 22)[0])


def test_weights_of_another_size_are_refused(tmp_path):
    torch.save(dict(state_dict=init_model('llflow_s_lol').state_dict()), tmp_path / 'small.pth')
    with pytest.raises(ValueError, match='small.pth holds the weights of another model.*keys are missing.*another shape'):
        init_model('llflow_l_lol', tmp_path / 'small.pth')


def photo(name):
    """A part of a real pair, as the model gets it: inputs (1, 6, 160, 240) and ground truth."""
    low, high = (np.asarray(Image.open(shared(f'data/real_pairs/test/{side}/{name}')).convert('RGB')) for side in ('low', 'high'))
    low = AppendEqualized()(dict(img=low))['img']
    return [torch.from_numpy(image[120:280, 180:420].transpose(2, 0, 1)[None] / np.float32(255)) for image in (low, high)]


@pytest.mark.parametrize('name, start', [('103.png', True), ('145.png', False)])
@torch.no_grad()
def test_decoding_undoes_encoding(name, start):
    """Of photos: at the start of training, when the ActNorms have seen them, and with weights that do more."""
    inputs, gt = photo(name)
    model = init_model('llflow_s_lol')
    if start:
        model.train()(inputs, DataSample(gt_img=gt), mode='loss')
    else:
        model.generator.load_state_dict(CONVERSIONS['llflow_s'].rename(Golden('llflow_s').weights()))
    net = model.eval().generator
    conds, _ = net.condition(model.network_inputs(inputs))
    latent, _ = net.flow(gt, conds)
    assert (latent - gt).abs().mean() > 0.1
    assert (net.flow.inverse(latent, conds) - gt).abs().max() < 1e-4


def loss_of(model, inputs, gt):
    torch.manual_seed(0)
    return model(inputs, DataSample(gt_img=gt), mode='loss')


@KINDS
def test_training_moves_every_parameter(changes):
    model = tiny_llflow(**changes).train()
    losses = loss_of(model, *images(64, 64, batch=2))
    assert set(losses) == {'loss_recon', 'loss_SCH'} if changes else {'loss_recon'}
    sum(losses.values()).backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.generator.parameters())


def test_the_mean_is_drawn():
    """One color map for the whole batch; the network's gets a gradient in any case, which data parallel training needs."""
    inputs, gt = images(16, 16, batch=2)
    expected = gt / (gt.sum(dim=1, keepdim=True) + 1e-4)
    model = tiny_llflow().train()
    drawn = []
    for seed in range(40):
        torch.manual_seed(seed)
        outputs = model.generate(inputs, None, gt)
        drawn.append(torch.equal(outputs.mean, expected))
        if drawn[-1]:
            outputs.mean.sum().backward()
            assert not model.generator.encoder.to_color_map.weight.grad.any()
        else:
            assert torch.equal(outputs.mean, model.generator.condition(model.network_inputs(inputs))[1])
    assert 2 < sum(drawn) < 16  # train_gt_ratio is 0.2


def test_sch_compares_the_mean_with_the_latent_image():
    model = tiny_llflow(**SKF, train_gt_ratio=0).train()
    inputs, gt = images(32, 32)
    losses = loss_of(model, inputs, gt)
    outputs, prior = model.reconstruct(inputs, gt)
    assert torch.equal(losses['loss_SCH'], model.sch_loss(outputs.mean, outputs.latent, prior.labels))
    assert losses['loss_SCH'].requires_grad and losses['loss_SCH'] > 0


def test_inverse_loss():
    model = tiny_llflow(inverse_loss=dict(type='mmagic.L1Loss', loss_weight=2.)).train()
    inputs, gt = images(16, 24)
    losses = loss_of(model, inputs, gt)
    losses['loss_inverse'].backward()
    assert model.generator.flow.levels[0][2]['invconv'].weight.grad.any()
    with torch.no_grad():
        expected = 2 * (model.eval()(inputs) - gt).abs().mean()
    assert losses['loss_inverse'].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize('changes', [
    dict(SKF, loss_input='pred'),
    dict(SKF, sa_loss=dict(type='SALoss'), discriminator=dict(type='SADiscriminator')),
])
def test_what_needs_an_enhanced_image_is_refused(changes):
    with pytest.raises(ValueError, match='which LLFlow does not make in training'):
        tiny_llflow(**changes)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast(dtype):
    """Latent image, logdet and loss keep float32 and are near those without autocast; gradients stay finite."""
    model = tiny_llflow(**SKF, train_gt_ratio=0).train()
    inputs, gt = images(32, 32)
    plain = loss_of(model, inputs, gt)
    with torch.autocast('cpu', dtype):
        outputs, _ = model.reconstruct(inputs, gt)
        losses = loss_of(model, inputs, gt)
    assert {outputs.latent.dtype, outputs.mean.dtype, outputs.logdet.dtype} == {torch.float32}
    assert losses['loss_recon'].item() == pytest.approx(plain['loss_recon'].item(), rel=0.02)
    sum(losses.values()).backward()
    assert all(weight.grad.isfinite().all() for weight in model.generator.parameters())
    with torch.no_grad(), torch.autocast('cpu', dtype):
        image = model.eval()(inputs)
    with torch.no_grad():
        assert (image - model(inputs)).abs().mean() < 0.05


@torch.no_grad()
def test_a_callable_prior_is_refused():
    """LLFlow makes no image before its SE modules whose prior it could ask for."""
    model, (inputs, _) = tiny_llflow(**SKF), images(16, 24)
    with pytest.raises(TypeError, match='makes no image before its SE modules'):
        model.generator(model.network_inputs(inputs), model.skb)


@pytest.mark.parametrize('changes, message', [
    (dict(SKF, se_input='pred'), "se_input='pred': LLFlowNet makes no image before its SE modules.*set se_input='lq'"),
    (dict(train_gt_ratio=1.5), 'train_gt_ratio=1.5: it is a probability'),
    (dict(test_cfg=dict(temperatur=1)), 'test_cfg has temperatur, .*choose from tta, max_pixels, temperature'),
])
def test_what_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_llflow(**changes)


def test_training_names_what_is_wrong():
    model = tiny_llflow().train()
    inputs, gt = images(16, 16)
    with pytest.raises(ValueError, match='1536 of 1536 input values are NaN'):
        loss_of(model, inputs * torch.nan, gt)
    model = tiny_llflow().train()
    model.generator.flow.levels[1][2]['invconv'].weight.data.zero_()
    with pytest.raises(ValueError, match='1x1 matrix of flow.levels.1.2.invconv has become singular'):
        loss_of(model, inputs, gt)


def test_sampling():
    model, (inputs, _) = tiny_llflow(), images(13, 22, batch=2)
    with torch.no_grad():
        enhanced = model(inputs)
        certain = model.sample(inputs, 2, temperature=0.)
        drawn = model.sample(inputs, 3, temperature=0.5)
        model.test_cfg = dict(temperature=0.5)
        torch.manual_seed(0)
        one = model(inputs)
        torch.manual_seed(0)
        assert torch.equal(one, model.sample(inputs, 1, temperature=0.5)[0])
    assert certain.shape == (2, 2, 3, 13, 22) and all(torch.equal(image, enhanced) for image in certain)
    assert drawn.shape == (3, 2, 3, 13, 22) and not torch.equal(drawn[0], drawn[1])
    # A colder draw is nearer to the certain one.
    assert (model.sample(inputs, 3, temperature=0.1) - enhanced).abs().mean() < (drawn - enhanced).abs().mean()


@torch.no_grad()
def test_samples_have_the_prior_that_testing_has():
    model, (inputs, _) = tiny_llflow(**SKF, test_passes=2), images(13, 22)
    twice = model.eval()(inputs)
    assert torch.equal(model.sample(inputs, 1, temperature=0.)[0], twice)
    model.test_passes = 1
    assert not torch.equal(model(inputs), twice)


def test_inferencer_and_what_a_model_keeps():
    cfg = load_config('llflow_s_lol')
    cfg.model.generator = GENERATOR
    low = np.random.default_rng(0).integers(0, 60, (37, 53, 3), dtype=np.uint8)
    model = init_model(cfg)
    result, = SKFInferencer(model, device='cpu')(low)['predictions']
    inputs = torch.from_numpy(AppendEqualized()(dict(img=low))['img'].transpose(2, 0, 1)[None] / np.float32(255))
    with torch.no_grad():
        expected = (model(inputs)[0] * 255).clamp(0, 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(result, expected)
    assert not [tensor for module in model.generator.modules() for tensor in vars(module).values()
                if isinstance(tensor, torch.Tensor) and (tensor.requires_grad or tensor.is_inference())]
