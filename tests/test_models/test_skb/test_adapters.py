"""Banks from other libraries against what these libraries compute, with random weights."""
import sys
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmskf.models import SMPKnowledgeBank, TorchvisionKnowledgeBank, TransformersKnowledgeBank
from mmskf.registry import MODELS

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
IMAGE = torch.rand(2, 3, 37, 53, generator=torch.Generator().manual_seed(0))
SEGFORMER = dict(model_type='segformer', hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2],
                 decoder_hidden_size=8, num_labels=5)
DINOV2 = dict(model_type='dinov2', hidden_size=16, num_attention_heads=2, num_hidden_layers=4, image_size=56, out_indices=(1, 4))
UNET = dict(type='Unet', encoder_name='resnet18', classes=5, decoder_channels=(16, 8, 8, 8, 8))
LRASPP = dict(type='lraspp_mobilenet_v3_large', num_classes=5)
BANKS = {
    'torchvision': dict(type='TorchvisionKnowledgeBank', model=LRASPP),
    'smp': dict(type='SMPKnowledgeBank', model=UNET),
    'segformer': dict(type='TransformersKnowledgeBank', model=SEGFORMER),
    'dinov2': dict(type='TransformersKnowledgeBank', model=DINOV2),
}


def build(name, **options):
    if name == 'smp':
        pytest.importorskip('segmentation_models_pytorch')
    torch.manual_seed(0)
    return MODELS.build({**BANKS[name], **options})


def run(bank, image=IMAGE):
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='The semantic knowledge bank has no checkpoint')
        return bank(image)


def normalized(image=IMAGE, divisor=1):
    x = (image - MEAN) / STD
    return F.pad(x, (0, -x.shape[-1] % divisor, 0, -x.shape[-2] % divisor), mode='replicate')


def close(values, expected):
    assert all(torch.allclose(value, other, atol=1e-5) for value, other in zip(values, expected, strict=True))


def maps_of(prior):
    return [*prior.features, *([] if prior.logits is None else [prior.logits])]


class TestTorchvision:

    @torch.no_grad()
    def test_lraspp(self):
        bank = build('torchvision')
        assert bank.channels == {0: 16, 1: 24, 2: 40, 3: 960, 'logits': 5}
        assert bank.strides == (2, 4, 8, 16) and bank.size_divisor == 1
        x, prior = normalized(), run(bank)
        features = []
        for i, layer in enumerate(bank.network.backbone.children()):
            x = layer(x)
            features += [x] if i in (1, 3, 6, 16) else []
        close(prior.features, features)
        close([prior.logits], [bank.network(normalized())['out']])

    @torch.no_grad()
    def test_deeplabv3(self):
        torch.manual_seed(0)
        bank = TorchvisionKnowledgeBank(dict(type='deeplabv3_resnet50', num_classes=3))
        assert bank.channels == {0: 64, 1: 256, 2: 2048, 'logits': 3} and bank.strides == (2, 4, 8)
        prior = run(bank)
        output = bank.network.backbone(normalized())
        close([prior.features[2]], [output['out']])
        close([prior.logits], [bank.network(normalized())['out']])

    def test_weights_of_torchvision_go_by_their_names(self):
        bank = TorchvisionKnowledgeBank(dict(type='lraspp_mobilenet_v3_large'), checkpoint='COCO_WITH_VOC_LABELS_V1')
        assert bank.checkpoint == 'https://download.pytorch.org/models/lraspp_mobilenet_v3_large-d234d4ea.pth'

    def test_auxiliary_classifier_is_left_out(self, tmp_path):
        from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large
        trained = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4, aux_loss=True)
        torch.save(trained.state_dict(), tmp_path / 'trained.pth')
        bank = TorchvisionKnowledgeBank(dict(type='deeplabv3_mobilenet_v3_large', num_classes=4), str(tmp_path / 'trained.pth'))
        bank.load()
        assert torch.equal(bank.network.classifier[4].weight, trained.classifier[4].weight)

    def test_unknown_network(self):
        with pytest.raises(ValueError, match="skb.model.type='resnet50' is not a segmentation network of torchvision: choose"):
            TorchvisionKnowledgeBank(dict(type='resnet50'))


class TestSMP:

    @pytest.mark.parametrize('name, divisor', [('Unet', 1), ('FPN', 32), ('Linknet', 32)])
    @torch.no_grad()
    def test_is_what_the_library_computes(self, name, divisor):
        model = dict(UNET, type=name)
        if name != 'Unet':
            del model['decoder_channels']
        bank = build('smp', model=model)
        assert bank.channels == {0: 64, 1: 64, 2: 128, 3: 256, 4: 512, 'logits': 5}
        assert bank.strides == (2, 4, 8, 16, 32) and bank.size_divisor == divisor
        prior, x = run(bank), normalized(divisor=divisor)
        expected = [feature[..., :-(-37 // stride), :-(-53 // stride)]
                    for feature, stride in zip(bank.network.encoder(x)[1:], bank.strides)]
        close(prior.features, expected)
        close([prior.logits], [bank.network(x)[..., :37, :53]])

    def test_its_default_of_one_class(self):
        pytest.importorskip('segmentation_models_pytorch')
        with pytest.raises(ValueError, match='single class score per pixel.*set skb.model.classes=2'):
            SMPKnowledgeBank(dict(type='Unet', encoder_name='resnet18'))

    def test_unknown_network(self):
        pytest.importorskip('segmentation_models_pytorch')
        with pytest.raises(ValueError, match="skb.model.type='Vnet' is not a network of segmentation_models.pytorch: choose"):
            SMPKnowledgeBank(dict(type='Vnet'))


class TestTransformers:

    @torch.no_grad()
    def test_segformer(self):
        bank = build('segformer')
        assert bank.channels == {0: 8, 1: 8, 2: 16, 3: 16, 'logits': 5} and bank.strides == (4, 8, 16, 32)
        prior = run(bank)
        output = bank.network(normalized(), output_hidden_states=True)
        close(prior.features, output.hidden_states)
        close([prior.logits], [F.interpolate(output.logits, (37, 53), mode='bilinear')])

    @torch.no_grad()
    def test_dinov2_has_features_alone(self):
        bank = build('dinov2')
        assert bank.channels == {0: 16, 1: 16} and bank.strides == (14, 14) and bank.num_classes == 0
        prior = run(bank)
        assert prior.logits is None
        close(prior.features, bank.network(normalized(divisor=14)).feature_maps)

    @torch.no_grad()
    def test_a_vision_transformer_that_is_no_backbone_yields_its_patches(self):
        """DINOv3 is of this kind; here a ViT, which has one class token, and takes one size."""
        model = dict(DINOV2, model_type='vit', image_size=32, patch_size=8, out_indices=(2, 4))
        bank = build('dinov2', model=model, image_size=(32, 32))
        assert bank.channels == {0: 16, 1: 16} and bank.strides == (8, 8)
        prior = run(bank)
        resized = F.interpolate(normalized(), (32, 32), mode='bilinear', antialias=True)
        tokens = bank.network(resized, output_hidden_states=True)
        assert torch.allclose(prior.features[1].flatten(2).transpose(1, 2), tokens.last_hidden_state[:, 1:], atol=1e-5)
        third = bank.network.layernorm(tokens.hidden_states[2])
        assert torch.allclose(prior.features[0][:, :, 1, 2], third[:, 1 + 4 + 2], atol=1e-5)

    @torch.no_grad()
    def test_dinov3(self):
        model = dict(model_type='dinov3_vit', hidden_size=16, num_attention_heads=2, num_hidden_layers=2, intermediate_size=16,
                     num_register_tokens=3, patch_size=16, out_indices=(1, 2))
        from transformers import CONFIG_MAPPING, __version__
        if 'dinov3_vit' not in CONFIG_MAPPING:
            with pytest.raises(ValueError, match=rf"transformers {__version__} does not know skb.model.model_type='dinov3_vit'"):
                build('dinov2', model=model)
            return
        bank = build('dinov2', model=model)
        assert bank.channels == {0: 16, 1: 16} and bank.strides == (16, 16) and bank.size_divisor == 16
        tokens = bank.network(normalized(divisor=16)).last_hidden_state
        close([run(bank).features[1].flatten(2).transpose(1, 2)], [tokens[:, 4:]])

    def test_folder_says_configuration_mean_std_and_weights(self, tmp_path):
        trained = build('segformer').network
        trained.save_pretrained(tmp_path)
        (tmp_path / 'preprocessor_config.json').write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.5, 1.0]}')
        bank = TransformersKnowledgeBank(str(tmp_path), checkpoint=str(tmp_path))
        x = (IMAGE - 0.5) / torch.tensor([0.25, 0.5, 1.0]).view(3, 1, 1)
        with torch.no_grad():
            close(bank(IMAGE).features, trained(x, output_hidden_states=True).hidden_states)

    def test_weights_of_the_plain_model_fit_its_backbone(self, tmp_path):
        from transformers import AutoConfig, AutoModel
        trained = AutoModel.from_config(AutoConfig.for_model(**DINOV2)).eval()
        trained.save_pretrained(tmp_path)
        bank = TransformersKnowledgeBank(model=DINOV2, checkpoint=str(tmp_path))
        with torch.no_grad():
            tokens = trained(normalized(divisor=14)).last_hidden_state[:, 1:]
        close([bank(IMAGE).features[1].flatten(2).transpose(1, 2)], [tokens])

    @pytest.mark.parametrize('changes, message', [
        (dict(num_labels=7), 'keys are of another shape, such as .*decode_head.classifier'),
        (dict(depths=[1, 2, 1, 1]), 'keys are missing, such as segformer.encoder.block.1.1'),
    ])
    def test_folder_of_other_weights(self, tmp_path, changes, message):
        build('segformer').network.save_pretrained(tmp_path)
        bank = TransformersKnowledgeBank(model=dict(SEGFORMER, **changes), checkpoint=str(tmp_path))
        with pytest.raises(RuntimeError, match=f'are not those of the network of skb.model: .*{message}'):
            bank(IMAGE)

    def test_configurations_that_are_no_use(self, tmp_path):
        with pytest.raises(ValueError, match='finds no configuration in skb.config=.*Give a folder with a config.json'):
            TransformersKnowledgeBank(str(tmp_path))
        with pytest.raises(ValueError, match="does not know skb.model.model_type='segformers': check its name"):
            TransformersKnowledgeBank(model=dict(SEGFORMER, model_type='segformers'))
        with pytest.raises(ValueError, match="skb.model.model_type='bert' .* is not a network for RGB images"):
            TransformersKnowledgeBank(model=dict(model_type='bert'))


@pytest.mark.parametrize('name', BANKS)
class TestEveryKind:

    def test_is_frozen_and_unseen(self, name):
        owner = nn.ModuleDict(dict(skb=build(name))).train()
        assert not list(owner.parameters()) and not list(owner.buffers()) and not owner.state_dict()
        assert not any(module.training for module in owner['skb'].network.modules())
        assert not any(parameter.requires_grad for parameter in owner['skb'].network.parameters())

    def test_gradient_reaches_the_image(self, name):
        bank = build(name)
        assert not any(value.requires_grad for value in maps_of(run(bank)))
        image = IMAGE.clone().requires_grad_()
        sum(value.square().mean() for value in maps_of(run(bank, image))).backward()
        assert image.grad.abs().sum() > 0

    def test_weights_travel_by_file_and_with_the_owner(self, name, tmp_path):
        trained = build(name)
        torch.save(trained.network.state_dict(), tmp_path / 'weights.pth')
        torch.manual_seed(1)
        bank = MODELS.build(dict(BANKS[name], checkpoint=str(tmp_path / 'weights.pth'), save_weights=True))
        close(maps_of(bank(IMAGE)), maps_of(run(trained)))
        torch.manual_seed(2)
        other = MODELS.build(dict(BANKS[name], checkpoint='nowhere.pth', save_weights=True))
        other.load_state_dict(bank.state_dict(), strict=True)
        close(maps_of(other(IMAGE)), maps_of(bank(IMAGE)))

    def test_moves_and_runs_in_half_precision(self, name):
        assert all(value.dtype == torch.bfloat16 for value in maps_of(run(build(name).to(torch.bfloat16), IMAGE.bfloat16())))
        assert all(value.dtype == torch.float32 for value in maps_of(run(build(name, autocast='bf16'))))

    def test_missing_weights(self, name):
        with pytest.raises(RuntimeError, match='cannot read its weights from nowhere.pth.*Set skb.checkpoint'):
            build(name, checkpoint='nowhere.pth')(IMAGE)


@pytest.mark.parametrize('name', ['torchvision', 'smp', 'segformer'])
def test_weights_of_another_class_count(name, tmp_path):
    field = dict(torchvision='num_classes', smp='classes', segformer='num_labels')[name]
    torch.save(build(name).network.state_dict(), tmp_path / 'weights.pth')
    bank = build(name, model=dict(BANKS[name]['model'], **{field: 7}), checkpoint=str(tmp_path / 'weights.pth'))
    with pytest.raises(RuntimeError, match=f'weights.pth know 5 classes, the segmentor of .* has 7: set skb.model.{field}=5'):
        bank(IMAGE)


@pytest.mark.parametrize('name', ['torchvision', 'smp'])
def test_folded_batchnorms_compute_the_same(name):
    close(maps_of(run(build(name, fuse_conv_bn=True))), maps_of(run(build(name))))


@pytest.mark.parametrize('package, kind, line', [
    ('segmentation_models_pytorch', SMPKnowledgeBank, 'pip install "segmentation-models-pytorch"'),
    ('transformers', TransformersKnowledgeBank, 'pip install "transformers<4.49"'),
])
def test_a_package_that_is_not_installed(monkeypatch, package, kind, line):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f'{kind.__name__} needs the package {package} .*: {line}'):
        kind(model=dict(type='Unet'))
