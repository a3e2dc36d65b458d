"""One table per method: the authors' keys -> mmskf's keys, and the dead keys."""
from .convert import Conversion
from .se import SE_DEAD, SE_RENAMES

DRBN_RENAMES = [
    *((rf'^recur{i + 1}\.', f'recurrences.{i}.') for i in range(4)),
    (r'SFENet', 'shallow'),
    (r'RDBs\.(\d)\.convs\.(\d)\.conv\.0', r'rdbs.\1.convs.\2'),
    (r'RDBs\.(\d)\.LFF', r'rdbs.\1.fusion'),
    (r'UPNet\.', 'to_rgb1.'),
    (r'UPNet([24])', r'to_rgb\1'),
    (r'Down([12])', r'down\1'),
    (r'Up([12])', r'up\1'),
]

LLFLOW_DEAD = [r'RRDB\.(downconv3|HRconv|conv_last|awb_para)\..*', r'flowUpsamplerNet\.f\..*']


def llflow_renames(steps: int) -> list[tuple[str, str]]:
    """The authors number all layers of the flow: at each level a squeeze, two unconditional steps, then ``steps`` steps."""
    return [
        *SE_RENAMES,
        *((rf'^att_block_{i + 1}\.', f'se.{i}.') for i in range(3)),
        (r'^RRDB\.', 'encoder.'),
        (r'RRDB_trunk\.(\d+)\.RDB', r'blocks.\1.rdb'),
        (r'downconv1', 'down4'),
        (r'downconv2', 'down8'),
        (r'fine_tune_color_map\.0', 'to_color_map'),
        *((rf'^flowUpsamplerNet\.layers\.{level * (3 + steps) + 1 + step}\.', f'flow.levels.{level}.{step}.')
          for level in range(3) for step in range(2 + steps)),
        (r'affine\.fFeatures', 'injector.net'),
        (r'affine\.fAffine', 'coupling.net'),
    ]


SNR_RENAMES = [
    (r'^conv_first_1\.', 'shallow.0.'),
    (r'^conv_first_2\.', 'down2.0.'),
    (r'^conv_first_3\.', 'down4.0.'),
    (r'^feature_extraction\.', 'encoder.'),
    (r'^recon_trunk_light\.', 'short_range.'),
    (r'^recon_trunk\.', 'fusion.'),
    (r'^upconv1\.', 'up2.0.'),
    (r'^upconv2\.', 'up1.0.'),
    (r'^HRconv\.', 'refine.0.'),
    (r'^conv_last\.', 'to_rgb.'),
    (r'^transformer\.layer_stack\.', 'long_range.layers.'),
    (r'slf_attn\.layer_norm', 'attention.norm'),
    (r'slf_attn\.w_qs', 'attention.query'),
    (r'slf_attn\.w_ks', 'attention.key'),
    (r'slf_attn\.w_vs', 'attention.value'),
    (r'slf_attn\.fc', 'attention.project_out'),
    (r'pos_ffn\.layer_norm', 'ffn.0'),
    (r'pos_ffn\.w_1', 'ffn.1'),
    (r'pos_ffn\.w_2', 'ffn.3'),
]
CIDNET_RENAMES = [
    (r'^trans\.density_k$', 'density'),
    (r'^HV(?=[ED]_|_LCA)', 'color.'),
    (r'^I(?=[ED]_|_LCA)', 'intensity.'),
    *((rf'\.E_block{i + 1}\.', f'.downs.{i}.') for i in range(3)),
    *((rf'\.D_block{3 - i}\.', f'.ups.{i}.') for i in range(3)),
    (r'\.E_block0\.1\.', '.stem.'),
    (r'\.D_block0\.1\.', '.head.'),
    (r'\.(?:down|up_scale)\.0\.', '.conv.'),
    (r'\.up\.', '.fuse.'),
    (r'\.prelu\.', '.activation.'),
    *((rf'\._LCA{i + 1}\.', f'.encoder.{i}.') for i in range(3)),
    (r'\._LCA4\.', '.bottleneck.'),
    (r'color\._LCA5\.', 'color.decoder.0.'),
    (r'color\._LCA6\.', 'color.decoder.1.'),
    (r'intensity\._LCA6\.', 'intensity.decoder.0.'),
    (r'\.ffn\.', '.attention.'),
    (r'attention\.q\.', 'attention.query.0.'),
    (r'attention\.q_dwconv\.', 'attention.query.1.'),
    (r'attention\.kv\.', 'attention.key_value.0.'),
    (r'attention\.kv_dwconv\.', 'attention.key_value.1.'),
    (r'\.gdfn\.project_in\.', '.ffn.expand.0.'),
    (r'\.gdfn\.dwconv\.', '.ffn.expand.1.'),
    (r'\.gdfn\.dwconv1\.', '.ffn.gates.0.'),
    (r'\.gdfn\.dwconv2\.', '.ffn.gates.1.'),
    (r'\.gdfn\.', '.ffn.'),
]
MIRNET_V2_RENAMES = [
    (r'^params\.', ''),
    (r'^conv_in\.', 'shallow.'),
    (r'^conv_out\.', 'to_rgb.'),
    (r'^body\.(\d)\.body\.2\.', r'groups.\1.conv.'),
    (r'^body\.(\d)\.body\.(\d)\.', r'groups.\1.blocks.\2.'),
    *((rf'\.dau_{name}\.', f'.blocks.{i}.') for i, name in enumerate(('top', 'mid', 'bot'))),
    (r'\.gcnet\.conv_mask\.', '.mask.'),
    (r'\.gcnet\.channel_add_conv\.', '.context.'),
    (r'\.down2\.body\.0\.bot\.1\.', '.to_middle.conv.'),
    (r'\.down4\.(\d)\.body\.0\.bot\.1\.', r'.to_bottom.\1.conv.'),
    *((rf'\.up{old}_{i + 1}\.body\.0\.bot\.0\.', f'.from_{new}.{i}.conv.')
      for old, new in (('32', 'bottom'), ('21', 'middle')) for i in range(2)),
    (r'\.skff_top\.', '.fuse_top.'),
    (r'\.skff_mid\.', '.fuse_middle.'),
    (r'\.conv_du\.', '.reduce.'),
    (r'\.fcs\.', '.expand.'),
    (r'\.conv_out\.', '.project_out.'),
]
RETINEXFORMER_RENAMES = [
    (r'^(?:params\.)?body\.0\.', ''),
    (r'^estimator\.conv1\.', 'estimator.expand.'),
    (r'^estimator\.depth_conv\.', 'estimator.grouped.'),
    (r'^estimator\.conv2\.', 'estimator.to_map.'),
    (r'^denoiser\.', ''),
    (r'^embedding\.', 'shallow.'),
    (r'^mapping\.', 'to_rgb.'),
    (r'^encoder_layers\.(\d)\.0\.blocks\.', r'encoder.\1.'),
    (r'^encoder_layers\.(\d)\.1\.', r'downs.\1.'),
    (r'^encoder_layers\.(\d)\.2\.', r'illumination_downs.\1.'),
    (r'^bottleneck\.blocks\.', 'bottleneck.'),
    (r'^decoder_layers\.(\d)\.0\.', r'ups.\1.'),
    (r'^decoder_layers\.(\d)\.1\.', r'fusions.\1.'),
    (r'^decoder_layers\.(\d)\.2\.blocks\.', r'decoder.\1.'),
    (r'\.0\.to_q\.', '.attention.query.'),
    (r'\.0\.to_k\.', '.attention.key.'),
    (r'\.0\.to_v\.', '.attention.value.'),
    (r'\.0\.rescale$', '.attention.temperature'),
    (r'\.0\.proj\.', '.attention.project_out.'),
    (r'\.0\.pos_emb\.', '.attention.position.'),
    (r'\.1\.norm\.', '.norm.'),
    (r'\.1\.fn\.net\.', '.ffn.'),
]
# Levels 1 to 5 encode, 6 to 9 decode; each has two convolutions, each followed by LeakyReLU and, but for the last, a norm.
ENLIGHTENGAN_LEVELS = [(i + 1, f'encoder.{i}') for i in range(5)] + [(i + 6, f'decoder.{i}') for i in range(4)]
ENLIGHTENGAN_RENAMES = [
    *((rf'^{old}{level}_{i + 1}\.', f'{name}.{i}.{place}.')
      for level, name in ENLIGHTENGAN_LEVELS for i in range(2) for old, place in (('conv', 0), ('bn', 2))),
    *((rf'^deconv{i + 5}\.', f'ups.{i}.') for i in range(4)),
    (r'^conv10\.', 'to_residual.'),
]
TENSORFLOW_NAMES = [(r'/(?:kernel|weights)$', '.weight'), (r'/bias(?:es)?$', '.bias')]
# What TensorFlow's optimizer and saver add to a checkpoint besides the network.
TENSORFLOW_DEAD = [r'.*Adam.*', r'(?:.*/)?beta[12]_power', r'(?:.*/)?global_step']

RETINEXNET_CONVS = ('shallow', 'downs.0', 'downs.1', 'downs.2', 'ups.0', 'ups.1', 'ups.2', 'fusion', 'head')
RETINEXNET_RENAMES = [
    *TENSORFLOW_NAMES,
    (r'DecomNet/shallow_feature_extraction\.', 'decom.shallow.'),
    (r'DecomNet/activated_layer_(\d)\.', r'decom.convs.\1.'),
    (r'DecomNet/recon_layer\.', 'decom.head.'),
    *((rf'RelightNet/conv2d{f"_{i}" if i else ""}\.', f'relight.{name}.') for i, name in enumerate(RETINEXNET_CONVS)),
    (r'^(?:decom|relight)/', ''),
]
RETINEXNET_PORT_RENAMES = [
    (r'^DecomNet\.net1_conv0\.', 'decom.shallow.'),
    *((rf'^DecomNet\.net1_convs\.{2 * i}\.', f'decom.convs.{i}.') for i in range(5)),
    (r'^DecomNet\.net1_recon\.', 'decom.head.'),
    (r'^RelightNet\.net2_conv0_1\.', 'relight.shallow.'),
    *((rf'^RelightNet\.net2_{old}1_{i + 1}\.', f'relight.{new}.{i}.')
      for old, new in (('conv', 'downs'), ('deconv', 'ups')) for i in range(3)),
    (r'^RelightNet\.net2_fusion\.', 'relight.fusion.'),
    (r'^RelightNet\.net2_output\.', 'relight.head.'),
]

KIND_DECOM = dict(
    g_conv1_1='down1.0', g_conv2_1='down2.0', g_conv3_1='down3.0', g_up_1='up2.conv', g_conv8_1='conv2.0', g_up_2='up1.conv',
    g_conv9_1='conv1.0', g_conv10='reflectance_head', l_conv1_2='illumination.0', l_conv1_4='illumination_head')
KIND_TENSORFLOW_RENAMES = [
    *TENSORFLOW_NAMES,
    *((rf'^DecomNet/{old}\.', f'decom.{new}.') for old, new in KIND_DECOM.items()),
    *((rf'^(?:Illumination_adjust_net/en_|I_enhance_Net/)conv_{i + 1}\.', f'adjust.layers.{i}.0.') for i in range(4)),
]
# The encoder's levels are 1 to 5, the decoder's 6 to 9; each has two convolutions.
KIND_LEVELS = [(i + 1, f'encoder.{i}') for i in range(5)] + [(i + 6, f'decoder.{i}') for i in range(4)]
KIND_PORT_DECOM = dict(
    conv_input='down1', conv_r1='down2', conv_r2='down3', deconv_r1='up2', conv_r3='conv2', deconv_r2='up1', conv_r4='conv1',
    conv_r5='reflectance_head', conv_i1='illumination', conv_i2='illumination_head')
ISSR_RELIGHT = dict(
    o_conv1_1='down1.0', o_conv2_1='down2.0', o_conv3_1='down3.0', g_up_1='up2.conv', o_conv4_1='conv2.0', g_up_2='up1.conv',
    o_conv5_1='conv1.0', o_conv6='to_feature', l_conv1='exposure.0.0', l_conv2='exposure.1.0', l_conv4='head.0.0',
    l_conv5='head.1.0', l_conv6='head.2')
# TensorFlow numbers the convolutions of a scope: conv2d, conv2d_1, ...
ISSR_CONVS = {
    'SegNet': ('segment', [*(f'encoder.1.{i}.0' for i in range(2)), *(f'encoder.2.{i}.0' for i in range(4)),
                           *(f'bottleneck.{i}.0' for i in range(3))]),
    'SegNet/Upscale': ('segment', ['ups.0', 'ups.1', 'ups.2', 'head.0.0', 'head.1', 'head.2']),
    'DenoiseNet': ('restore', ['to_scale.0.0', 'to_scale.1', 'to_shift.0.0', 'to_shift.1']),
    'DenoiseNet/RDN': ('restore', ['shallow.0', 'shallow.1', 'fuse.0', 'fuse.1', 'head.0.0', 'head.1']),
    **{f'DenoiseNet/RDN/RDB{i}': (f'restore.groups.{i - 1}', ['reduce', 'fuse']) for i in (1, 3, 4, 5, 6, 8)},
    **{f'DenoiseNet/RDN/RIRB{i}': (f'restore.groups.{i - 1}', ['reduce', 'before', 'after', 'fuse']) for i in (2, 7)},
}
# Names of the transposed convolutions of an MSIA module, in the order in which they act.
KINDPP_UPS = {1: (), 2: ('conv_up', ), 4: ('conv_up_1', 'conv_up')}

CONVERSIONS = {
    'hrnet_w48_pascal59':
    Conversion(
        model='skb/hrnet_w48_pascal_context_official',
        prefix='',
        renames=[
            (r'^model\.', ''),
            (r'^last_layer\.0\.', 'decode_head.convs.0.conv.'),
            (r'^last_layer\.1\.', 'decode_head.convs.0.bn.'),
            (r'^last_layer\.3\.', 'decode_head.conv_seg.'),
            (r'^(?!decode_head\.)', 'backbone.'),
        ],
        dead=[r'loss\..*']),
    'drbn':
    Conversion(model='baseline/drbn_lol', renames=DRBN_RENAMES),
    'drbn_skf':
    Conversion(
        model='skf/drbn_skf_lol_official',
        renames=[
            *SE_RENAMES,
            *((rf'fuseblk_{i + 1}\.', f'se.{i}.') for i in range(3)),
            *DRBN_RENAMES,
        ]),
    'cidnet':
    Conversion(model='baseline/cidnet_lol', renames=CIDNET_RENAMES, dead=[r'I_LCA5\..*']),
    'mirnet_v2':
    Conversion(model='baseline/mirnet_v2_lol', renames=MIRNET_V2_RENAMES),
    'retinexformer':
    Conversion(model='baseline/retinexformer_lol', renames=RETINEXFORMER_RENAMES),
    'zerodce':
    Conversion(model='baseline/zerodce_lol', renames=[(rf'^e_conv{i + 1}\.', f'convs.{i}.') for i in range(7)]),
    'enlightengan':
    Conversion(model='baseline/enlightengan_lol', renames=ENLIGHTENGAN_RENAMES),
    'hwmnet':
    Conversion(
        model='baseline/hwmnet_lol',
        renames=[
            (r'^conv_01\.', 'stem.'),
            (r'^down_path\.(\d)\.downsample\.conv1\.', r'downs.\1.1.'),
            (r'^up_path\.(\d)\.up\.conv1\.', r'ups.\1.1.'),
            (r'^down_path\.(\d)\.', r'encoder.\1.'),
            (r'^up_path\.(\d)\.conv_block\.', r'decoder.\1.'),
            (r'\.tail\.', '.1.'),
            (r'\.body\.0\.WSA\.conv_du\.0\.', '.0.spatial_attention.conv.'),
            (r'\.body\.0\.WCA\.conv_du\.0\.', '.0.channel_attention.reduce.'),
            (r'\.body\.0\.WCA\.conv_du\.2\.', '.0.channel_attention.expand.'),
            (r'\.body\.0\.body\.0\.', '.0.conv1.'),
            (r'\.body\.0\.body\.1\.', '.0.activation.'),
            (r'\.body\.0\.body\.2\.', '.0.conv2.'),
            (r'\.body\.0\.conv1x1\.', '.0.merge.'),
            (r'\.body\.0\.conv3x3\.', '.0.fuse.'),
            (r'\.body\.0\.conv1x1_final\.', '.0.shortcut.'),
            (r'^skip_conv\.', 'skips.'),
            (r'^bottom_conv\.', 'to_fusion.0.'),
            *((rf'^conv_up\.{i}\.1\.', f'to_fusion.{i + 1}.') for i in range(3)),
            (r'^final_ff\.conv_du\.', 'fusion.reduce.'),
            (r'^final_ff\.fcs\.', 'fusion.expand.'),
            (r'^last\.', 'to_rgb.'),
        ],
        dead=[r'.*\.activate\.weight']),  # body.1.weight again: a block has one PReLU
    **{
        f'llflow_{size}{skf}': Conversion(model=config, renames=llflow_renames(steps), dead=LLFLOW_DEAD)
        for size, steps in (('s', 4), ('l', 12))
        for skf, config in (('', f'baseline/llflow_{size}_lol'), ('_skf', f'skf/llflow_{size}_skf_lol_official'))
    },
    'snr':
    Conversion(model='baseline/snr_lol', renames=SNR_RENAMES),
    'snr_skf':
    Conversion(
        model='skf/snr_skf_lol_official',
        renames=[
            *SE_RENAMES,
            *((rf'^att_block_{i + 1}\.', f'se.{2 - i}.') for i in range(3)),
            *SNR_RENAMES,
        ],
        dead=SE_DEAD),
    'retinexnet':
    Conversion(
        model='baseline/retinexnet_lol',
        tensorflow=True,
        parts={'': '', 'decom': 'decom/', 'relight': 'relight/'},
        renames=RETINEXNET_RENAMES,
        # The released decomposition comes with abandoned networks, among them an older RelightNet.
        dead=[*TENSORFLOW_DEAD, r'(?:\w+/)?DenoiseNet/.*', r'decom/RelightNet/.*']),
    'retinexnet_port':
    Conversion(
        model='baseline/retinexnet_port_lol',
        parts={'': '', 'decom': 'DecomNet.', 'relight': 'RelightNet.'},
        renames=RETINEXNET_PORT_RENAMES),
    'kind':
    Conversion(
        model='baseline/kind_lol',
        tensorflow=True,
        parts=dict.fromkeys(('', 'decom', 'adjust', 'restore'), ''),
        renames=[
            *KIND_TENSORFLOW_RENAMES,
            *((rf'^Restoration_net/de_conv{level}_{i + 1}\.', f'restore.{name}.{i}.0.')
              for level, name in KIND_LEVELS for i in range(2)),
            *((rf'^Restoration_net/up_{i + 6}\.', f'restore.ups.{i}.conv.') for i in range(4)),
            (r'^Restoration_net/de_conv10\.', 'restore.head.'),
        ],
        dead=TENSORFLOW_DEAD),
    'kind_port':
    Conversion(
        model='baseline/kind_port_lol',
        parts={'': '', 'decom': 'decom_net.', 'adjust': 'illum_net.', 'restore': 'restore_net.'},
        renames=[
            (r'\.conv_relu\.', '.'),
            (r'\.deconv_relu\.0\.', '.conv.'),
            *((rf'^decom_net\.{old}\.', f'decom.{new}.') for old, new in KIND_PORT_DECOM.items()),
            *((rf'^illum_net\.conv_i{i + 1}\.', f'adjust.layers.{i}.') for i in range(4)),
            *((rf'^restore_net\.conv{level}_{i + 1}\.', f'restore.{name}.{i}.') for level, name in KIND_LEVELS for i in range(2)),
            *((rf'^restore_net\.upv{i + 6}\.', f'restore.ups.{i}.') for i in range(4)),
            (r'^restore_net\.conv10_1\.', 'restore.head.'),
        ]),
    'issr':
    Conversion(
        model='baseline/issr_lol',
        tensorflow=True,
        # The checkpoint of the denoising also holds the segmentation, which is trained further with it.
        parts=dict.fromkeys(('', 'decom', 'restore', 'relight'), ''),
        renames=[
            *KIND_TENSORFLOW_RENAMES,
            *((rf'^RelightNet/{old}\.', f'relight.{new}.') for old, new in ISSR_RELIGHT.items()),
            *((rf'^SegNet/conv1_{i + 1}\.', f'segment.encoder.0.{i}.0.') for i in range(2)),
            *((rf'^{scope}/conv2d{f"_{i}" if i else ""}\.', f'{subnet}.{name}.')
              for scope, (subnet, names) in ISSR_CONVS.items() for i, name in enumerate(names)),
            *((rf'^{scope}/resBlock(\d)/conv2d{suffix}\.', rf'{subnet}.blocks.\1.body.{place}.')
              for scope, (subnet, _) in ISSR_CONVS.items() for suffix, place in (('', '0.0'), ('_1', '1'))),
        ],
        dead=TENSORFLOW_DEAD),
    'kindpp':
    Conversion(
        model='baseline/kindpp_lol',
        tensorflow=True,
        parts=dict.fromkeys(('', 'decom', 'adjust', 'restore'), ''),
        renames=[
            *KIND_TENSORFLOW_RENAMES,
            (r'/batch_normalization/gamma$', '/norm.weight'),
            (r'/batch_normalization/beta$', '/norm.bias'),
            (r'/batch_normalization/moving_mean$', '/norm.running_mean'),
            (r'/batch_normalization/moving_variance$', '/norm.running_var'),
            (r'^Denoise_Net/de_conv5_1\.', 'restore.head.0.0.'),
            (r'^Denoise_Net/de_conv10\.', 'restore.head.1.'),
            *((rf'^Denoise_Net/de_conv{i + 1}_{j + 1}\.', f'restore.convs.{i}.{j}.0.') for i in range(4) for j in range(2)),
            *((rf'^Denoise_Net/de_conv{i + 1}(?=/|[a-z])/?', f'restore.msia.{i}.') for i in range(4)),
            (r'(msia\.\d\.)conv\.', r'\1attention.'),
            (r'multi_scale_feature\.', 'fusion.0.'),
            # Scale 1 is convolution, ReLU, norm, ReLU; the others add pooling before and transposed convolutions after.
            *((rf'pu{scale}/{old}\.', f'scale{scale}.{place}.')
              for scale, places in ((1, (0, 2)), (2, (1, 3, 5)), (4, (1, 3, 5, 7)))
              for old, place in zip(('pu_conv', 'norm', *KINDPP_UPS[scale]), places)),
        ],
        dead=TENSORFLOW_DEAD),
}
