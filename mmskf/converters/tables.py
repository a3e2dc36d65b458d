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
