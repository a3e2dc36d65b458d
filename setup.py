import os
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_FILES = ('configs', 'tools', 'model-index.yml')


def requirements(name):
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


def version():
    namespace = {}
    exec((ROOT / 'mmskf' / 'version.py').read_text(), namespace)
    return namespace['__version__']


class BuildWithMim(build_py):
    """Puts configs, tools and the model index where `mim` and ``mmengine.hub`` look for them."""

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


setup(
    name='mmskf',
    version=version(),
    description='Semantic-aware knowledge guidance for low-light image enhancement, on OpenMMLab',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=('mmskf', 'mmskf.*')),
    include_package_data=True,
    python_requires='>=3.10,<3.13',
    install_requires=requirements('runtime'),
    extras_require={'test': requirements('tests'), 'demo': requirements('demo'), 'video': requirements('video')},
    entry_points={'console_scripts': ['mmskf = mmskf.cli:main']},
    cmdclass={'build_py': BuildWithMim},
    zip_safe=False)
