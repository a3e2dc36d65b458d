"""One table a method: the authors' key -> mmskf's key, and the dead keys."""
from .convert import Conversion

DRBN_RENAMES = [(rf'^recur{i + 1}\.', f'recurrences.{i}.') for i in range(4)] + [
    (r'SFENet', 'shallow'),
    (r'RDBs\.(\d)\.convs\.(\d)\.conv\.0', r'rdbs.\1.convs.\2'),
    (r'RDBs\.(\d)\.LFF', r'rdbs.\1.fusion'),
    (r'UPNet\.', 'to_rgb1.'),
    (r'UPNet([24])', r'to_rgb\1'),
    (r'Down([12])', r'down\1'),
    (r'Up([12])', r'up\1'),
]

CONVERSIONS = {
    'drbn': Conversion(model='baseline/drbn_lol', renames=DRBN_RENAMES),
}
