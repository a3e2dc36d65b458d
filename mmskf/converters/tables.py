"""One table a method: the authors' key -> mmskf's key, and the dead keys."""
from .convert import Conversion

CONVERSIONS = {
    'drbn':
    Conversion(
        model='baseline/drbn_lol',
        renames=[
            (r'^recur(\d)\.', lambda match: f'recurrences.{int(match[1]) - 1}.'),
        ]),
}
