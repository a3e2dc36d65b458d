"""The documentation site. Its source is the whole repository: a link between two of its files works on the site as well."""
import runpy
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]

project = 'mmskf'
author = 'The mmskf contributors'
release = runpy.run_path(str(ROOT / 'mmskf' / 'version.py'))['__version__']
root_doc = 'docs/index'
include_patterns = [
    '*.md', 'docs/**', 'configs/README.md', 'configs/*/README.md', 'mmskf/models/skb/weights/*.md',
    'mmskf/pretrained/*.md'
]
exclude_patterns = ['.*', 'build', 'data', 'demo_output', 'site', 'work_dirs']
extensions = ['autoapi.extension', 'myst_parser', 'sphinx.ext.napoleon', 'sphinx.ext.mathjax', 'sphinx_copybutton']
suppress_warnings = ['autoapi.python_import_resolution']  # names of other libraries that mmskf hands on

html_theme = 'furo'
html_title = f'mmskf {release}'
html_extra_path = ['_root']  # the front page, which leads to root_doc
myst_heading_anchors = 3

autoapi_dirs = [str(ROOT / 'mmskf')]
autoapi_root = 'docs/api'
autoapi_options = ['members', 'show-inheritance', 'show-module-summary', 'imported-members']
autoapi_add_toctree_entry = False


def skip_member(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: list[str]) -> bool:
    """Shows each name once, where it is imported from: in its package, or in a module directly below mmskf."""
    if what in ('package', 'module'):
        return name.count('.') > (2 if what == 'package' else 1)
    if what in ('class', 'exception', 'function', 'data') and obj.imported:
        package = name.rsplit('.', 1)[0]
        deeper = '.'.join(obj.obj['original_path'].split('.')[:3])
        return skip or (deeper.startswith(f'{package}.') and ROOT.joinpath(*deeper.split('.')).is_dir())
    return skip


def setup(app: Sphinx) -> None:
    app.connect('autoapi-skip-member', skip_member)
