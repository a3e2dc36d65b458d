import os
from collections.abc import Iterable


def names_below_common_folder(paths: Iterable[str]) -> dict[str, str]:
    """Shortest names that identify images: paths relative to the deepest folder that contains them all.

    Args:
        paths (Iterable[str]): Paths of images.

    Returns:
        dict[str, str]: Path -> name, with '/' between folders; in the order of ``paths``.

    Examples:
        >>> names_below_common_folder(['data/LIME/1.bmp', 'data/NPE/1.bmp'])
        {'data/LIME/1.bmp': 'LIME/1.bmp', 'data/NPE/1.bmp': 'NPE/1.bmp'}
    """
    full = {path: os.path.abspath(path) for path in paths}
    if not full:
        return {}
    folder = os.path.commonpath([os.path.dirname(path) for path in full.values()])
    return {path: os.path.relpath(absolute, folder).replace(os.sep, '/') for path, absolute in full.items()}
