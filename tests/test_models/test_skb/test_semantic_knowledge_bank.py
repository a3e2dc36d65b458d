"""The bank against what its segmentor computes by itself; that nothing can change it; what it says of bad input."""
import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from mmengine.hooks import EMAHook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from tiny_segmentor import SEGMENTOR
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from mmskf.models import SemanticKnowledgeBank
from mmskf.registry import MODELS

AUXILIARY = dict(
    type='mmseg.FCNHead',
    in_channels=32,
    in_index=3,
    channels=4,
    num_convs=1,
    num_classes=5,
    loss_decode=dict(type='mmseg.CrossEntropyLoss'))


def segmentor_with_random_weights(**changes):
    torch.manual_seed(0)
    segmentor = MODELS.build({**copy.deepcopy(SEGMENTOR), **changes})
    for module in segmentor.modules():
        if isinstance(module, _BatchNorm):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    segmentor.eval()
    return segmentor


@pytest.fixture(scope='module')
def segmentor():
    return segmentor_with_random_weights()


@pytest.fixture(scope='module')
def checkpoint(segmentor, tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'segmentor.pth'
    torch.save({'state_dict': segmentor.state_dict(), 'meta': {}}, path)
    return str(path)


@pytest.fixture
def image():
    return torch.rand(2, 3, 37, 53, generator=torch.Generator().manual_seed(0))


def build(checkpoint=None, **kwargs):
    options = {'channels_last': False, **kwargs}  # the segmentor computes in the format of its input: compared bit by bit
    return MODELS.build(dict(type='SemanticKnowledgeBank', model=copy.deepcopy(SEGMENTOR), checkpoint=checkpoint, **options))


def encode_decode(segmentor, x):
    return segmentor.encode_decode(x, [dict(img_shape=tuple(x.shape[2:]))])


def assert_equal(state_dict, expected):
    assert state_dict.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(state_dict[key].cpu(), value), key


class Owner(BaseModel):
    """Stands for an editor: trainable weights of its own and a bank."""

    def __init__(self, skb):
        super().__init__(init_cfg=dict(type='Constant', layer=['Conv2d', 'BatchNorm2d'], val=0.5))
        self.conv = nn.Conv2d(3, 3, 1)
        self.skb = skb

    def forward(self, inputs, data_samples=None, mode='loss'):
        pred = self.conv(inputs)
        return dict(loss_semantic=self.skb(pred).logits.square().mean(), loss=(pred - inputs).abs().mean())


class TestPrior:

    def test_is_what_mmsegmentation_predicts(self, segmentor, checkpoint):
        bgr = torch.randint(0, 256, (3, 37, 53), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        x = segmentor.data_preprocessor(dict(inputs=[bgr]))['inputs']
        prior = build(checkpoint)(bgr.flip(0)[None] / 255)
        assert torch.allclose(prior.logits, encode_decode(segmentor, x), atol=1e-4)
        for feature, expected in zip(prior.features, segmentor.backbone(x), strict=True):
            assert torch.allclose(feature, expected, atol=1e-4)

    def test_of_a_segmentor_that_takes_bgr(self, segmentor, checkpoint, image):
        bank = build(checkpoint)
        bank.segmentor.data_preprocessor.channel_conversion = False
        data_preprocessor = segmentor.data_preprocessor
        x = (image.flip(1) * 255 - data_preprocessor.mean) / data_preprocessor.std
        assert torch.equal(bank(image).logits, encode_decode(segmentor, x))

    def test_of_the_log_image(self, segmentor, checkpoint):
        image = torch.rand(1, 3, 32, 32) - 0.2
        x = torch.log(torch.clamp(image + 1e-3, min=1e-3))
        assert torch.equal(build(checkpoint, input='log', mean_std=None)(image).logits, encode_decode(segmentor, x))

    def test_of_the_image_as_it_is(self, segmentor, checkpoint, image):
        assert torch.equal(build(checkpoint, mean_std=None)(image).logits, encode_decode(segmentor, image))

    def test_padding_repeats_the_edge_and_is_cut_off(self, segmentor, checkpoint, image):
        prior = build(checkpoint, mean_std=None, size_divisor=32)(image)
        padded = F.pad(image, (0, 64 - 53, 0, 64 - 37), mode='replicate')
        assert torch.equal(prior.logits, encode_decode(segmentor, padded)[..., :37, :53])
        for feature, expected, size in zip(prior.features, segmentor.backbone(padded), [(10, 14), (5, 7), (3, 4), (2, 2)]):
            assert torch.equal(feature, expected[..., :size[0], :size[1]])

    def test_by_batch_statistics(self, segmentor, checkpoint, image):
        bank = build(checkpoint, mean_std=None, bn='batch')
        for _ in range(2):
            logits = bank(image).logits
        training = copy.deepcopy(segmentor)
        training.train()
        assert torch.allclose(logits, encode_decode(training, image), atol=1e-5)
        assert_equal(bank.segmentor.state_dict(), segmentor.state_dict())

    @pytest.mark.parametrize('options, tolerance', [(dict(fuse_conv_bn=True), 1e-5), (dict(channels_last=True), 1e-5),
                                                    (dict(autocast='bf16'), 2e-2)])
    def test_is_the_same_by_faster_ways(self, checkpoint, image, options, tolerance):
        expected, prior = build(checkpoint)(image), build(checkpoint, **options)(image)
        for value, other in [*zip(prior.features, expected.features), (prior.logits, expected.logits)]:
            assert value.dtype == torch.float32
            assert (value - other).abs().max() <= tolerance * other.abs().max()

    @pytest.mark.parametrize('options', [{}, dict(size_divisor=32), dict(channels_last=True)])
    def test_without_class_scores_computes_no_head(self, checkpoint, image, options, monkeypatch):
        bank = build(checkpoint, **options)
        expected = bank(image).features
        monkeypatch.setattr(bank.segmentor, 'decode_head', None)
        prior = bank(image, logits=False)
        assert prior.logits is None
        for feature, other in zip(prior.features, expected, strict=True):
            assert torch.equal(feature, other)

    def test_fusion_leaves_no_batchnorm(self, checkpoint, image):
        bank = build(checkpoint, fuse_conv_bn=True)
        bank(image)
        assert not any(isinstance(module, _BatchNorm) for module in bank.segmentor.modules())

    def test_features_that_come_in_another_order(self, checkpoint, image, monkeypatch):
        from mmseg.models.backbones import HRNet
        expected = build(checkpoint)(image)
        forward = HRNet.forward
        monkeypatch.setattr(HRNet, 'forward', lambda self, x: forward(self, x)[::-1])
        model = copy.deepcopy(SEGMENTOR)
        model['decode_head'].update(in_channels=(32, 16, 8, 4), in_index=(3, 2, 1, 0))
        bank = SemanticKnowledgeBank(model=model, checkpoint=checkpoint, channels_last=False)
        assert bank.channels == {0: 4, 1: 8, 2: 16, 3: 32, 'logits': 5} and bank.strides == (4, 8, 16, 32)
        for feature, other in zip(bank(image).features, expected.features, strict=True):
            assert torch.equal(feature, other)

    def test_channels_are_known_without_weights(self):
        bank = build('nowhere.pth')
        assert bank.channels == {0: 4, 1: 8, 2: 16, 3: 32, 'logits': 5}
        assert bank.num_classes == 5

    @pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
    def test_moves_with_its_owner(self, checkpoint, image, dtype):
        owner = Owner(build(checkpoint)).to(dtype)
        assert owner.skb(image.to(dtype)).logits.dtype == dtype


class TestGradient:

    @pytest.mark.parametrize('options', [{}, dict(fuse_conv_bn=True), dict(bn='batch')])
    def test_no_graph_for_an_image_without_gradient(self, checkpoint, image, options):
        prior = build(checkpoint, **options)(image)
        assert not prior.logits.requires_grad
        assert not any(feature.requires_grad for feature in prior.features)

    def test_reaches_the_image_after_a_first_call_in_inference_mode(self, checkpoint, image):
        bank = build(checkpoint, fuse_conv_bn=True, channels_last=True)
        with torch.inference_mode():
            bank(image)
        image.requires_grad_()
        bank(image).logits.sum().backward()
        assert image.grad.abs().sum() > 0

    @pytest.mark.parametrize('options', [{}, dict(input='log', mean_std=None), dict(bn='batch', size_divisor=32)])
    def test_reaches_the_image_and_not_the_weights(self, checkpoint, image, options):
        """The directional derivative equals the finite difference, in float64."""
        bank = build(checkpoint, **options).double()
        image = (image * 0.8 + 0.1).double().requires_grad_()
        direction = torch.randn(image.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

        def value(x):
            prior = bank(x)
            return prior.logits.square().mean() + sum(feature.mean() for feature in prior.features)

        value(image).backward()
        step = 1e-7 * direction
        finite = (value(image.detach() + step) - value(image.detach() - step)) / 2e-7
        assert torch.isclose((image.grad * direction).sum(), finite, rtol=1e-3)
        assert all(parameter.grad is None for parameter in bank.segmentor.parameters())


class TestFrozen:

    def test_owner_does_not_see_it(self, checkpoint):
        owner = Owner(build(checkpoint))
        assert [name for name, _ in owner.named_parameters()] == ['conv.weight', 'conv.bias']
        assert not list(owner.skb.buffers())
        assert [*owner.state_dict()] == ['conv.weight', 'conv.bias']
        owner.load_state_dict(owner.state_dict(), strict=True)

    def test_runner_leaves_it_as_its_checkpoint(self, checkpoint, segmentor, tmp_path):
        owner = Owner(build(checkpoint))
        runner = Runner(
            model=owner,
            work_dir=str(tmp_path),
            experiment_name='frozen_bank',
            train_dataloader=DataLoader([dict(inputs=torch.rand(3, 32, 32)) for _ in range(4)], batch_size=2),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, weight_decay=0.1)),
            custom_hooks=[dict(type='EMAHook', update_buffers=True)],
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
            default_scope='mmskf')
        runner.train()
        assert_equal(owner.skb.segmentor.state_dict(), torch.load(checkpoint)['state_dict'])
        assert not any(module.training for module in owner.skb.segmentor.modules())
        optimized = [parameter for group in runner.optim_wrapper.param_groups for parameter in group['params']]
        assert {id(parameter) for parameter in optimized} == {id(owner.conv.weight), id(owner.conv.bias)}
        assert not (owner.conv.weight == 0.5).any()
        saved = torch.load(tmp_path / 'epoch_1.pth')
        assert {*saved['state_dict']} == {'conv.weight', 'conv.bias'}
        assert {*saved['ema_state_dict']} == {'steps', 'module.conv.weight', 'module.conv.bias'}
        ema = next(hook for hook in runner.hooks if isinstance(hook, EMAHook)).ema_model
        assert ema.module.skb.segmentor is owner.skb.segmentor

    def test_train_mode_and_initialization_pass_it_by(self, checkpoint, segmentor):
        owner = Owner(build(checkpoint))
        owner.skb.load()
        owner.init_weights()
        owner.train()
        owner.requires_grad_(True)
        owner.skb(torch.rand(2, 3, 32, 32))
        assert_equal(owner.skb.segmentor.state_dict(), segmentor.state_dict())
        assert not any(parameter.requires_grad for parameter in owner.skb.segmentor.parameters())

    def test_configured_initialization_is_taken_out(self):
        model = copy.deepcopy(SEGMENTOR)
        model['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint='open-mmlab://msra/hrnetv2_w48')
        model['decode_head']['init_cfg'] = dict(type='Normal', std=0.01)
        given = copy.deepcopy(model)
        bank = SemanticKnowledgeBank(model=model)
        assert all(module.init_cfg is None for module in bank.segmentor.modules())
        assert model == given

    def test_travels_with_its_owner_when_asked(self, checkpoint, segmentor, tmp_path):
        owner = Owner(build(checkpoint, save_weights=True))
        assert not [key for key in owner.state_dict() if key.startswith('skb')]  # nothing was read yet
        owner.skb.load()
        torch.save(owner.state_dict(), tmp_path / 'owner.pth')
        other = Owner(build('nowhere.pth', save_weights=True))
        other.load_state_dict(torch.load(tmp_path / 'owner.pth'), strict=True)
        other.skb(torch.rand(1, 3, 32, 32))
        assert_equal(other.skb.segmentor.state_dict(), segmentor.state_dict())
        plain = Owner(build(checkpoint))
        plain.load_state_dict(torch.load(tmp_path / 'owner.pth'), strict=True)
        assert not plain.skb.loaded


class TestWeights:

    def test_are_read_when_they_are_needed(self, image, tmp_path):
        missing = str(tmp_path / 'missing.pth')
        bank = build(missing)
        with pytest.raises(RuntimeError, match='cannot read its weights from .*missing.pth.*Set skb.checkpoint'):
            bank(image)

    def test_that_are_absent_warn_once_of_the_consequence(self, image):
        bank = build()
        with pytest.warns(UserWarning, match='no checkpoint, so its semantics are random'):
            bank(image)
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            bank(image)

    def test_of_a_file_that_is_no_checkpoint(self, image, tmp_path):
        (tmp_path / 'broken.pth').write_bytes(b'no weights')
        with pytest.raises(RuntimeError, match='cannot read its weights from .*broken.pth'):
            build(str(tmp_path / 'broken.pth'))(image)

    def test_of_auxiliary_heads_are_left_out(self, segmentor, image, tmp_path):
        trained = segmentor_with_random_weights(auxiliary_head=AUXILIARY)
        torch.save({'state_dict': trained.state_dict()}, tmp_path / 'trained.pth')
        model = {**copy.deepcopy(SEGMENTOR), 'auxiliary_head': AUXILIARY}
        bank = SemanticKnowledgeBank(model=model, checkpoint=str(tmp_path / 'trained.pth'), mean_std=None, channels_last=False)
        assert torch.equal(bank(image).logits, encode_decode(trained, image))
        assert not bank.segmentor.with_auxiliary_head

    def test_of_another_class_count(self, checkpoint, image):
        model = copy.deepcopy(SEGMENTOR)
        model['decode_head']['num_classes'] = 7
        bank = SemanticKnowledgeBank(model=model, checkpoint=checkpoint, channels_last=False)
        with pytest.raises(RuntimeError, match='segmentor.pth know 5 classes, the segmentor of .* has 7.*num_classes=5'):
            bank(image)

    def test_of_another_network(self, segmentor, image, tmp_path):
        state_dict = segmentor.state_dict()
        state_dict['backbone.extra.weight'] = state_dict.pop('backbone.conv1.weight')
        torch.save(state_dict, tmp_path / 'other.pth')
        with pytest.raises(RuntimeError, match=r'(?s)other.pth are not those of.*conv1.weight.*extra.weight'):
            build(str(tmp_path / 'other.pth'))(image)


class TestBadConfiguration:

    @pytest.mark.parametrize('options, message', [
        (dict(input='srgb'), "skb.input='srgb' is unknown, expected one of"),
        (dict(autocast='int8'), "skb.autocast='int8' is unknown"),
        (dict(input='log'), "skb.input='log' needs skb.mean_std=None"),
        (dict(fuse_conv_bn=True, bn='batch'), "set skb.bn='eval'"),
        (dict(fuse_conv_bn=True, save_weights=True), 'skb.save_weights=False'),
        (dict(num_features=3), r'HRNet of skb.model returns 4 feature maps \[\(4, 16, 16\).*expected 3: set its out_indices'),
    ])
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            build(**options)

    def test_no_segmentor_at_all(self):
        with pytest.raises(ValueError, match='set skb.config or skb.model'):
            SemanticKnowledgeBank()

    def test_a_config_that_is_no_segmentor(self, tmp_path):
        (tmp_path / 'classifier.py').write_text("model = dict(type='ImageClassifier', backbone=dict(type='ResNet'))")
        with pytest.raises(ValueError, match='classifier.py is not an mmsegmentation segmentor.* no decode_head'):
            SemanticKnowledgeBank(config=str(tmp_path / 'classifier.py'))

    def test_no_mean_and_std(self):
        model = {**copy.deepcopy(SEGMENTOR), 'data_preprocessor': None}
        with pytest.raises(ValueError, match='set skb.mean_std=None'):
            SemanticKnowledgeBank(model=model)

    def test_a_single_class_score(self):
        model = copy.deepcopy(SEGMENTOR)
        model['decode_head'].update(num_classes=2, out_channels=1)
        with pytest.raises(ValueError, match='out_channels=2'):
            SemanticKnowledgeBank(model=model)
