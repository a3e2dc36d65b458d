"""One table a method: the authors' key -> mmskf's key, and the dead keys."""
from .convert import Conversion
from .se import SE_RENAMES

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
}
