"""The steps of the build that pyproject.toml cannot describe."""
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

ROOT = Path(__file__).resolve().parent
MIM_FILES = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Puts configs, tools and the model index where mmengine, `mim` and :mod:`mmskf.apis` look for them."""

    def run(self):
        super().run()
        if self.editable_mode:
            return  # the checkout has links there
        target = Path(self.build_lib) / 'mmskf' / '.mim'
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in MIM_FILES:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, target / name, ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy(source, target / name)


class EditableByPath(editable_wheel):
    """Puts the checkout on sys.path, and says where it is.

    Otherwise a finder is installed that is asked last, when a folder called mmskf, such as the checkout seen from its parent, has
    been taken for the package. `mim` and mmengine look for a package where the folder of its metadata and the first line of
    top_level.txt lead to.
    """

    def finalize_options(self):
        super().finalize_options()
        self.package_dir = {'': '.'}

    def _ensure_dist_info(self):
        super()._ensure_dist_info()
        (Path(self.dist_info_dir) / 'top_level.txt').write_text(f'{ROOT / "mmskf"}\nmmskf\n')


setup(cmdclass={'build_py': BuildWithMim, 'editable_wheel': EditableByPath})
