"""One table a method: the authors' key -> mmskf's key, and the dead keys."""
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


def llflow_renames(steps):
    """The authors number all layers of the flow: at each level a squeeze, two steps without condition, then ``steps``."""
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
        dead=[r'.*\.activate\.weight']),  # body.1.weight once more: a block has one PReLU
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
}
