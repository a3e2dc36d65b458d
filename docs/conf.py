"""The documentation site. Its source is the whole repository: a link between two of its files works on the site as well."""
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'mmskf'))
from version import __version__ as release  # not of the package, which imports torch

project = 'mmskf'
author = 'The mmskf contributors'
extensions = ['autoapi.extension', 'myst_parser', 'sphinx.ext.napoleon', 'sphinx.ext.mathjax', 'sphinx_copybutton']
root_doc = 'docs/index'
include_patterns = ['docs/**', 'README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'configs/README.md', 'configs/*/README.md', 'mmskf/models/skb/weights/*.md']
exclude_patterns = ['.*', 'build', 'data', 'demo_output', 'site', 'work_dirs']
suppress_warnings = ['autoapi.python_import_resolution']  # names of other libraries that mmskf hands on
html_theme = 'furo'
html_extra_path = ['_root']
myst_heading_anchors = 3

autoapi_dirs = [str(ROOT / 'mmskf')]
autoapi_root = 'docs/api'
autoapi_options = ['members', 'show-inheritance', 'show-module-summary', 'imported-members']
autoapi_add_toctree_entry = False
autoapi_keep_files = False


def skip_member(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: list[str]) -> bool:
    """Each name is shown once, where it is imported from: in its package, or in a module directly below mmskf."""
    if what in ('package', 'module'):
        return name.count('.') > (2 if what == 'package' else 1)
    if what in ('class', 'exception', 'function', 'data') and obj.imported:
        package = name.rsplit('.', 1)[0]
        deeper = '.'.join(obj.obj['original_path'].split('.')[:3])
        return skip or (deeper.startswith(f'{package}.') and ROOT.joinpath(*deeper.split('.')).is_dir())
    return skip


def setup(app: Sphinx) -> None:
    app.connect('autoapi-skip-member', skip_member)
