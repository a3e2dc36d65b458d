"""One table a method: the authors' key -> mmskf's key, and the dead keys."""
from .convert import Conversion

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
    Conversion(
        model='baseline/drbn_lol',
        renames=[
            (r'^recur(\d)\.', lambda match: f'recurrences.{int(match[1]) - 1}.'),
        ]),
}
