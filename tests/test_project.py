"""What stands in several places of the project agrees, and what is built from it is complete."""
import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from mmskf import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())


def requirements(name):
    """The lines of a file."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith('#')]


def imports(*folders):
    """Top-level packages that the files in these folders import, but for the standard library."""
    found = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob('*.py') if '.mim' not in path.parts):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found.update(alias.name.split('.')[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.split('.')[0])
    own = {'mmskf', *(path.stem for folder in folders for path in (ROOT / folder).rglob('*.py'))}
    return found - own - set(sys.stdlib_module_names)


def test_supported_pythons_agree():
    classifiers = {line.rsplit(' ', 1)[1] for line in PYPROJECT['project']['classifiers'] if re.search(r' 3\.\d+$', line)}
    workflow = yaml.safe_load((ROOT / '.github' / 'workflows' / 'ci.yml').read_text())
    supported = SpecifierSet(PYPROJECT['project']['requires-python'])
    assert set(workflow['jobs']['ci']['strategy']['matrix']['python']) == classifiers
    assert {f'3.{minor}' for minor in range(30) if f'3.{minor}' in supported} == classifiers
    first, end = map(int, re.search(r'\(3, (\d+)\) <= sys.version_info < \(3, (\d+)\)', (ROOT / 'Makefile').read_text()).groups())
    assert {f'3.{minor}' for minor in range(first, end)} == classifiers


def test_the_version_has_its_changes():
    assert re.search(rf'^## \[{re.escape(__version__)}\]', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE)


@pytest.mark.parametrize('constraints', ['constraints', 'constraints-numpy2'])
@pytest.mark.parametrize('python', ['3.10', '3.11', '3.12', '3.13'])
def test_constraints_are_what_is_required(constraints, python):
    pins = {}
    for pin in requirements(constraints):
        if pin.marker is None or pin.marker.evaluate({'python_version': python}):
            name = canonicalize_name(pin.name)
            assert name not in pins, f'{name} is pinned twice for Python {python}'
            pins[name] = next(iter(pin.specifier)).version
    for requirement in [*requirements('runtime'), *requirements('demo'), *requirements('video'), *requirements('onnx')]:
        name = canonicalize_name(requirement.name)
        assert name not in pins or pins[name] in requirement.specifier
    # Their wheels unpack into one folder.
    assert len({pins[f'opencv-{kind}'] for kind in ('python', 'python-headless', 'contrib-python')}) == 1


@pytest.mark.parametrize('files, folders', [
    (['runtime', 'video', 'onnx', 'demo'], ['mmskf', 'tools']), (['runtime', 'tests'], ['tests', 'tools'])])
def test_what_is_imported_is_required(files, folders):
    """But for what reads a kind of photo only where it is installed."""
    required = {canonicalize_name(requirement.name) for file in files for requirement in requirements(file)}
    distributions = packages_distributions()
    missing = {package for package in imports(*folders) - {'pillow_heif'}
               if not required & {canonicalize_name(name) for name in distributions.get(package, [package])}}
    assert not missing


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A checkout, as far as it is needed for an installation, in a folder called mmskf."""
    source = tmp_path_factory.mktemp('source') / 'mmskf'
    source.mkdir()
    for name in ('LICENSE', 'MANIFEST.in', 'README.md', 'model-index.yml', 'pyproject.toml', 'setup.py'):
        shutil.copy(ROOT / name, source)
    for name in ('configs', 'mmskf', 'requirements', 'tools'):
        shutil.copytree(ROOT / name, source / name, symlinks=True,
                        ignore=shutil.ignore_patterns('__pycache__'))
    return source


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory):
    out = tmp_path_factory.mktemp('wheel')
    command = [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation', '--no-index']
    subprocess.run([*command, '--wheel-dir', str(out), str(source)], check=True)
    with zipfile.ZipFile(next(out.glob('*.whl'))) as archive:
        yield archive


def test_the_wheel_is_complete(wheel):
    names = set(wheel.namelist())
    for folder, prefix in (('mmskf', ''), ('configs', 'mmskf/.mim/'), ('tools', 'mmskf/.mim/')):
        for path in (ROOT / folder).rglob('*'):
            if path.is_file() and not {'.mim', '__pycache__'} & set(path.parts):
                assert prefix + path.relative_to(ROOT).as_posix() in names
    assert 'mmskf/.mim/model-index.yml' in names


def test_an_editable_install_is_found_from_the_parent_folder(source, tmp_path):
    """Where the checkout is a folder called mmskf that is no package; and by `mim`, which looks beside the metadata."""
    build = 'from setuptools import build_meta; import sys; build_meta.build_editable(sys.argv[1])'
    subprocess.run([sys.executable, '-c', build, str(tmp_path)], cwd=source, check=True, capture_output=True)
    site = tmp_path / 'site'
    with zipfile.ZipFile(next(tmp_path.glob('*.whl'))) as archive:
        archive.extractall(site)
    code = ("import importlib.util, os, pkg_resources, site, sys; "
            "sys.path = [p for p in sys.path if not os.path.exists(os.path.join(p, 'mmskf', '__init__.py'))]; "
            f"site.addsitedir({str(site)!r}); print(importlib.util.find_spec('mmskf').origin); "
            "pkg_resources.working_set.add_entry(sys.argv[1]); "
            "print(next(pkg_resources.find_distributions(sys.argv[1])).get_metadata('top_level.txt').splitlines()[0])")
    found = subprocess.run([sys.executable, '-W', 'ignore', '-c', code, str(site)], cwd=source.parent, check=True,
                           capture_output=True, text=True, env={'PATH': os.environ['PATH']}).stdout.split()
    assert found == [str(source / 'mmskf' / '__init__.py'), str(source / 'mmskf')]
    links = (source / 'mmskf' / '.mim').iterdir()
    assert {path.name for path in links if path.exists()} == {'configs', 'tools', 'model-index.yml'}


def test_the_wheel_says_what_it_needs(wheel):
    metadata = wheel.read(f'mmskf-{__version__}.dist-info/METADATA').decode()
    found = [Requirement(line.split(':', 1)[1]) for line in metadata.splitlines() if line.startswith('Requires-Dist:')]
    assert {str(requirement) for requirement in found if requirement.marker is None} == set(map(str, requirements('runtime')))
    extras = {'test': 'tests', **{name: name for name in ('demo', 'video', 'onnx', 'lint', 'docs')}}
    for extra, name in extras.items():
        named = {requirement.name for requirement in found
                 if requirement.marker is not None and f'extra == "{extra}"' in str(requirement.marker)}
        assert named == {requirement.name for requirement in requirements(name)}
