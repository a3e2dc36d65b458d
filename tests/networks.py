"""Every enhancement network, as the shared tests want it: a new network is one entry of ``NETWORKS``."""
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

import pytest
import torch

from mmskf.models.editors.enhancement_editor import pad_to_multiple
from mmskf.models.editors.zerodce import apply_curves
from mmskf.models.hvi import hvi_to_rgb, rgb_to_hvi
from mmskf.registry import MODELS
from mmskf.structures import SemanticPrior

WIDTHS = {0: 48, 1: 96, 2: 192, 3: 384, 'logits': 59}  # of the HRNet-W48 of the paper
TINY_WIDTHS = {0: 4, 1: 8, 2: 16, 3: 32, 'logits': 5}


@dataclass(frozen=True)
class Reference:
    """A golden set of a network.

    Args:
        name (str): Of the golden set.
        cases (Sequence[str]): Of the set.
        outputs (callable): net, inputs by name -> outputs by name, without gradient. ``inputs['prior']`` is the prior, or None.
        inner (dict): Name of an output -> the submodule that yields it.
        conversion (str, optional): Where it has another name than the set.
        options (dict): What the generator is built with.
    """
    name: str
    cases: Sequence[str]
    outputs: Callable
    inner: dict[str, str] = field(default_factory=dict)
    conversion: str | None = None
    options: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A network and what is known of it.

    Args:
        generator (dict): Its config, in full size.
        parameters (tuple[int, int]): Without and with SE modules that read HRNet-W48.
        se (dict, optional): Config of its SE modules; None: there is no place for them.
        small (dict): What makes it small.
        config (str, optional): Name of a config that trains it with SKF.
        references (Sequence[Reference]): Its golden sets.
        stopped (Sequence[str]): Weights through which the method lets only a part of the gradient pass.
        package (str, optional): An optional package that it comes from.
    """
    generator: dict
    parameters: tuple[int, int]
    se: dict | None
    small: dict = field(default_factory=dict)
    config: str | None = None
    references: Sequence[Reference] = ()
    stopped: Sequence[str] = ()
    package: str | None = None

    def build(self, se=True, widths=TINY_WIDTHS, **options):
        """The network in eval mode; SE modules by the network's own config, by another one, or without."""
        options = dict(self.generator, **options)
        if se and self.se:
            options['se'] = dict(self.se if se is True else se, type='SEModule', semantic_channels=widths)
        return MODELS.build(options).eval()

    def build_small(self, se=True, **options):
        """The network with few channels, where it can have few, and with weights such that every layer does something."""
        torch.manual_seed(0)
        net = self.build(se, **{**self.small, **options})
        with torch.no_grad():
            for weight in net.parameters():
                weight.add_(0.02 * torch.randn_like(weight))
        return net


def small_prior(height, width, batch=1):
    """A prior as a bank of ``TINY_WIDTHS`` would yield it: noise, from a seed."""
    generator = torch.Generator().manual_seed(1)
    features = [torch.randn(batch, TINY_WIDTHS[i], -(-height // 2**(i + 2)), -(-width // 2**(i + 2)), generator=generator)
                for i in range(4)]
    return SemanticPrior(features, torch.randn(batch, TINY_WIDTHS['logits'], height, width, generator=generator))


def drbn(net, inputs):
    return dict(zip(('res1', 'res2', 'res4'), net(inputs['x'], inputs['prior'])))


def plain(net, inputs):
    return dict(y=net(inputs['x'], inputs['prior']))


def snr(net, inputs):
    return dict(y=net(inputs['x'], inputs['prior'], inputs['mask']))


def retinexnet(net, inputs):
    reflectance, illumination = net.decom(inputs['x'])
    outputs = net(inputs['x'])
    assert torch.equal(outputs.image, net(inputs['x'], stage='relight').image)
    return dict(R=reflectance, L=illumination, L_delta=outputs.illumination, S=outputs.image)


def retinexnet_port(net, inputs):
    outputs = retinexnet(net, inputs)
    return dict(R=outputs['R'], I=outputs['L'], I_delta=outputs['L_delta'], S=outputs['S'])


def kind(net, inputs):
    reflectance, illumination = net.decom(inputs['x'])
    outputs = net(inputs['x'], gt=inputs['gt'])
    return dict(
        R=reflectance,
        L=illumination,
        L_gt=net.decom(inputs['gt'])[1],
        restored_R=outputs.reflectance,
        fusion_lol=outputs.image,
        ratio_lol=net.ratio(illumination, outputs.reflectance, inputs['gt']),
        adjusted_L_ratio5=net.adjust(illumination, torch.full((len(illumination), ), 5.).to(illumination)))


def kind_port(net, inputs):
    reflectance, illumination = net.decom(inputs['x'])
    outputs = net(inputs['x'])
    ratio = torch.full((len(illumination), ), 2.5).to(illumination)
    return dict(R=reflectance, I=illumination, R_final=outputs.reflectance, I_final=net.adjust(illumination, ratio),
                out=outputs.image)


def issr(net, inputs):
    reflectance, illumination = net.decom(inputs['x'])
    scores, ratio = net.segment(reflectance), inputs['ratio'].flatten()
    restored = net.restored(reflectance, illumination)
    outputs = net.relit(inputs['x'], restored, illumination, ratio)
    assert torch.equal(outputs.brightened, inputs['x'] * inputs['ratio'])
    return dict(R_low=reflectance, I_low=illumination, seg_logits=scores, seg=scores.softmax(dim=1),
                seg_of_x=net.segment(inputs['x']).softmax(dim=1), R_den=restored,
                I_delta=net.relight(illumination, restored, ratio), y=outputs.image)


def cidnet(net, inputs):
    """Images of any size; of whole ones also what is before and after the network, and the saturation of the authors' test."""
    (height, width), padded = inputs['x'].shape[-2:], pad_to_multiple(inputs['x'], net.size_divisor)
    outputs = dict(y=net(padded).image[..., :height, :width])
    if padded.shape == inputs['x'].shape:
        hvi = rgb_to_hvi(inputs['x'], net.density)
        enhanced = net.enhanced(hvi, inputs['prior'])
        outputs.update(hvi_in=hvi, hvi_out=enhanced, y_gated=hvi_to_rgb(enhanced, net.density, saturation=1.3))
    return outputs


def any_size(net, inputs):
    """The reference tests images of any size: mirrored to what the network takes, and cut."""
    height, width = inputs['x'].shape[-2:]
    return dict(y=net(pad_to_multiple(inputs['x'], net.size_divisor))[..., :height, :width])


def zerodce(net, inputs):
    outputs = net(inputs['x'])
    return dict(enhanced=outputs.image, curves=outputs.curves, enhanced_step4=apply_curves(inputs['x'], outputs.curves[:, :12]))


def enlightengan(net, inputs):
    """The reference's images are in [-1, 1]."""
    image = (inputs['x'] + 1) / 2
    net.align_corners = False
    other = net(image)
    net.align_corners = True
    enhanced = net(image)
    return dict(y=2 * enhanced - 1, latent=2 * (enhanced - image), y_acfalse=2 * other - 1)


def llflow(net, inputs):
    seen = []
    handle = net.encoder.register_forward_hook(lambda module, args, outputs: seen.extend(outputs[0]))
    conds, color_map = net.condition(inputs['lr'], inputs['prior'])
    handle.remove()
    conditions = {f'{kind}_fea_up{level}': feature for kind, features in (('raw', seen), ('cond', conds))
                  for level, feature in enumerate(features)}
    image = net.decode(conds, color_map)
    latent, logdet = net.flow(image, conds)
    assert (latent - color_map).abs().max() < 1e-4  # there and back again
    return dict(conditions, color_map=color_map, sr=image, sr_logdet=-logdet)


TWO = ('a_64x96', 'b_72x104')
THREE = (*TWO, 'c_mixed_mask_64x96')
LARGE = dict(width=64, num_blocks=24, kept_blocks=(1, 3, 5, 7), steps=12)
FINE = dict(sources=(1, 0, 'logits'))  # as released for DRBN
DEEP = dict(sources=(2, 1, 0))  # deep with deep
ALIGNED = dict(sources=(0, 1, 2))  # as released for LLFlow: the finest semantic feature goes to the coarsest condition

NETWORKS = {
    'retinexnet': Network(
        dict(type='RetinexNet'), (444_613, 737_383), DEEP,
        config='retinexnet_skf_lol',
        references=[Reference('retinexnet', ('a_64x96', 'b_53x75'), retinexnet)]),
    'retinexnet_port': Network(
        dict(type='RetinexNet', form='port', padding_mode='replicate'), (555_205, 847_975), DEEP,
        references=[Reference('retinexnet_torchport', ('a_64x96', 'b_53x75'), retinexnet_port, conversion='retinexnet_port')]),
    'kind': Network(
        dict(type='KinDNet'), (8_016_008, 8_500_036), FINE,
        config='kind_skf_lol',
        references=[Reference('kind', ('a_64x96', 'b_49x75'), kind, options=dict(exposure='gt'))]),
    'kind_port': Network(
        dict(type='KinDNet', form='port'), (8_017_096, 8_501_124), FINE,
        references=[Reference('kind_torchport', ('a_64x96', 'b_80x112'), kind_port, conversion='kind_port',
                              options=dict(exposure=2.5))]),
    'kindpp': Network(
        dict(type='KinDPlusPlusNet'), (8_274_508, 8_841_762), DEEP,
        config='kindpp_skf_lol',
        references=[Reference('kindpp', ('a_64x96', 'b_52x76'), kind, options=dict(exposure='gt'))]),
    'issr': Network(
        dict(type='ISSRNet'), (7_845_035, 7_845_035), None,
        references=[Reference('issr', ('b_51x77', ), issr)]),
    'drbn': Network(
        dict(type='DRBNNet'), (557_668, 599_132), dict(FINE, gelu='tanh'), dict(channels=4, growth=2),
        config='drbn_skf_lol',
        references=[Reference('drbn', TWO, drbn), Reference('drbn_skf', TWO, drbn)]),
    'hwmnet': Network(
        dict(type='HWMNet'), (66_564_649, 69_773_455), dict(DEEP, ffn='dual', expansion=1), dict(channels=16),
        config='hwmnet_skf_lol',
        references=[Reference('hwmnet', ('a_64x96', 'b_80x112'), plain,
                              dict(enc_level0='encoder.0', bottom='encoder.3', skff='fusion'))]),
    'snr': Network(
        dict(type='SNRNet'), (39_124_099, 39_407_689), dict(DEEP, ffn='dual'), dict(channels=8, layers=1),
        config='snr_skf_lol',
        references=[Reference('snr', THREE, snr, dict(transformer_out='long_range.layers.5', recon_trunk_out='fusion')),
                    Reference('snr_skf', THREE, snr)]),
    'cidnet': Network(
        dict(type='CIDNet'), (1_904_609, 2_198_093), dict(sources=(2, 2, 1, 1, 0, 0), ffn='dual', expansion=1),
        dict(channels=(8, 8, 16, 32), heads=(1, 2, 2)),
        config='cidnet_skf_lol', stopped=['density'],
        references=[Reference('cidnet', ('b_56x72', 'c_51x77_padded'), cidnet,
                              dict(i_lca1='intensity.encoder.0', hv_lca1='color.encoder.0', i_lca4='intensity.bottleneck',
                                   hv_lca6='color.decoder.1'))]),
    'mirnet_v2': Network(
        dict(type='MIRNetV2'), (5_858_560, 6_768_426), dict(DEEP, ffn='dual', expansion=1),
        dict(channels=16, groups=(1, 4), blocks=1),
        config='mirnet_v2_skf_lol',
        references=[Reference('mirnet_v2', ('b_52x76', 'c_51x77_padded'), any_size,
                              dict(bot='groups.0.blocks.0.blocks.2', mrb0='groups.0.blocks.0', rrg1='groups.1'))]),
    'retinexformer': Network(
        dict(type='RetinexformerNet'), (1_605_701, 2_190_067), dict(DEEP, ffn='dual', expansion=1),
        dict(channels=8, blocks=(1, 1, 1)),
        config='retinexformer_skf_lol',
        references=[Reference('retinexformer', ('a_64x96', 'b_52x76', 'c_51x77_padded'), any_size,
                              dict(illu_fea='estimator.grouped', illu_map='estimator.to_map', msa0='encoder.0.0.attention',
                                   enc0='encoder.0', bottom='bottleneck'))]),
    'zerodce': Network(
        dict(type='ZeroDCENet'), (79_416, 79_416), None, dict(channels=8),
        config='zerodce_skf_lol',
        references=[Reference('zerodce', ('b_51x77', ), zerodce)]),
    'enlightengan': Network(
        dict(type='EnlightenGANNet'), (8_636_675, 9_135_711), DEEP, dict(channels=4),
        references=[Reference('enlightengan', ('b_51x77', ), enlightengan, dict(bottom='encoder.4.1', dec6='decoder.0'))]),
    'llflow_s': Network(
        dict(type='LLFlowNet'), (4_967_635, 5_260_405), DEEP, dict(width=4, num_blocks=1, kept_blocks=(0, ), steps=1, hidden=4),
        config='llflow_s_skf_lol',
        references=[Reference('llflow_s', TWO, llflow), Reference('llflow_s_skf', TWO, llflow, options=dict(se=ALIGNED))]),
    'llflow_l': Network(
        dict(type='LLFlowNet', **LARGE), (37_677_395, 39_905_177), dict(DEEP, bottleneck=192, expansion=1),
        dict(width=4, num_blocks=2, kept_blocks=(0, 1), steps=2, hidden=4),
        # One image is enough for the large networks.
        config='llflow_l_skf_lol',
        references=[Reference('llflow_l', TWO[1:], llflow),
                    Reference('llflow_l_skf', TWO[1:], llflow, options=dict(se=dict(ALIGNED, bottleneck=192, expansion=1)))]),
    'nafnet': Network(
        dict(type='SEWrapper', net=dict(
            type='NAFNet', mid_channels=32, enc_blk_nums=[2, 2, 4, 8], middle_blk_num=12, dec_blk_nums=[2, 2, 2, 2])),
        (29_159_715, 29_658_751), dict(DEEP, modules=('decoders.1', 'decoders.2', 'decoders.3')),
        dict(net=dict(type='NAFNet', mid_channels=4, enc_blk_nums=4 * [1], dec_blk_nums=4 * [1])),
        config='nafnet_skf_lol'),
    'restormer': Network(
        dict(type='SEWrapper', net=dict(type='mmagic.Restormer', LayerNorm_type='BiasFree'), size_divisor=8),
        (26_111_668, 27_349_042), dict(DEEP, modules=('decoder_level3', 'decoder_level2', 'decoder_level1')),
        dict(net=dict(type='mmagic.Restormer', dim=4, num_blocks=4 * [1], num_refinement_blocks=1, heads=(1, 1, 2, 2))),
        config='restormer_skf_lol'),
    'unet': Network(
        dict(type='SEWrapper', net=dict(type='segmentation_models_pytorch.Unet', encoder_weights=None, classes=3),
             size_divisor=32, residual=True),
        (24_436_659, 24_573_419), dict(DEEP, modules=('decoder.blocks.2', 'decoder.blocks.3', 'decoder.blocks.4')),
        dict(net=dict(type='segmentation_models_pytorch.Unet', encoder_name='mobilenet_v2', encoder_weights=None,
                      decoder_channels=(16, 16, 8, 8, 8), classes=3)),
        config='unet_skf_lol', package='segmentation_models_pytorch'),
}


def with_each(names):
    """Parametrizes a test by names of networks; it skips those of packages that are not installed."""
    packages = {name: NETWORKS[name].package for name in names}
    return pytest.mark.parametrize('name', [
        pytest.param(name, marks=pytest.mark.skipif(bool(package and not find_spec(package)), reason=f'needs {package}'))
        for name, package in packages.items()])
