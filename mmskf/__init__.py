"""Semantic-aware knowledge guidance (SKF) for low-light image enhancement, on OpenMMLab."""
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from .setup_env import register_all_modules
from .version import __version__


class _FixesFinder(MetaPathFinder):
    """Applies :mod:`mmskf.compat` as soon as MMEngine has been imported, by which every part of the stack begins.

    Not before: exported models are run without the stack (:mod:`mmskf.export.runtime`).
    """

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != 'mmengine':
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_fix(module: ModuleType) -> None:
                execute(module)
                sys.meta_path.remove(self)  # not earlier: the spec may be wanted only to see whether MMEngine is installed
                import_module('mmskf.compat')

            spec.loader.exec_module = execute_and_fix  # type: ignore[method-assign]
        return spec


if 'mmengine' in sys.modules:
    import_module('mmskf.compat')
else:
    sys.meta_path.insert(0, _FixesFinder())

__all__ = ['__version__', 'register_all_modules']
