"""The one step of the build that pyproject.toml cannot describe."""
import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_FILES = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Puts configs, tools and the model index where `mim` and :mod:`mmskf.apis` look for them."""

    def run(self):
        super().run()
        in_place = getattr(self, 'editable_mode', False)
        target = (ROOT if in_place else Path(self.build_lib)) / 'mmskf' / '.mim'
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in MIM_FILES:
            source = ROOT / name
            if in_place:
                (target / name).symlink_to(os.path.relpath(source, target))
            elif source.is_dir():
                shutil.copytree(source, target / name, ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy(source, target / name)


setup(cmdclass={'build_py': BuildWithMim})
