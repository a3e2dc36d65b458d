"""Registers everything at once."""
from importlib import import_module

MODULES = ('datasets', 'engine', 'evaluation', 'models')
LAZY_MODULES = ('mmskf.datasets.enhancement_dataset', 'mmskf.datasets.unpaired_dataset')  # which their package does not import


def register_all_modules(init_default_scope: bool = True) -> None:
    """Imports everything that registers itself in mmskf, mmagic and mmseg.

    Building from a config does not need this, since registries are filled lazily; code that looks up types itself does.

    Args:
        init_default_scope (bool): Whether to make 'mmskf' the default scope, so that types need no ``mmskf.`` prefix.
            Defaults to True.
    """
    from mmengine import registry
    for package in ('mmskf', 'mmagic', 'mmseg'):
        for module in MODULES:
            import_module(f'{package}.{module}')
    for module in LAZY_MODULES:
        import_module(module)
    if init_default_scope:
        registry.init_default_scope('mmskf')
