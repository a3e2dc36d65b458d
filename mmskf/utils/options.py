"""Changes to a config, as given by ``--cfg-options`` and by the stages of a training.

mmengine merges field by field and addresses an item of a list by its index: ``pipeline.2.crop_size``. Here its type works as
well: ``pipeline.RandomCrop.crop_size``, so that nothing has to be counted.
"""
import difflib
import re
from argparse import ArgumentError, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from mmengine.config import Config, ConfigDict, DictAction

# The parts of an editor for which ``optim_wrapper`` may have fields of their own.
PARTS = ('generator', 'discriminator')

# Present value of a field -> what it takes, and how that is called. A boolean is an int, so it comes first. A number can stand
# for a set of fields that are all alike (the intervals of a hook), and False for none.
KINDS: tuple[tuple[type | tuple[type, ...], tuple[type, ...], str], ...] = (
    (bool, (bool, int), 'True or False'), ((int, float), (int, float), 'a number'), (dict, (dict, int, float), 'a set of fields'))


class OptionsAction(DictAction):
    """mmengine's ``DictAction``; what is not FIELD=VALUE ends the program like any wrong argument."""

    def __call__(self, parser: ArgumentParser, namespace: Namespace, values: Any, option_string: str | None = None) -> None:
        """Adds the options FIELD=VALUE to those that there are."""
        for text in values:
            field, separator, _ = text.partition('=')
            if not separator or not all(field.split('.')):
                raise ArgumentError(self, f'{text!r}: expected FIELD=VALUE, such as train_dataloader.num_workers=0')
            try:
                super().__call__(parser, namespace, [text], option_string)
            except AssertionError as error:  # brackets
                raise ArgumentError(self, f'{text!r}: {error}') from None


def add_cfg_options(parser: ArgumentParser) -> None:
    """Adds ``--cfg-options``, a dict of dotted fields and their values."""
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, default={}, metavar='FIELD=VALUE',
                        help='change fields of the config, such as train_dataloader.num_workers=0')


def positive(text: str) -> int:
    """A number of 1 or more, for argparse.

    Raises:
        ArgumentTypeError: If it is something else.
    """
    if not re.fullmatch(r'0*[1-9]\d*', text):
        raise ArgumentTypeError(f'{text!r}: expected a whole number of 1 or more')
    return int(text)


def image_size(text: str) -> tuple[int, int]:
    """HEIGHTxWIDTH, such as '400x600' -> its two numbers, for argparse.

    Raises:
        ArgumentTypeError: If it has another form.
    """
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if match is None:
        raise ArgumentTypeError(f'{text!r}: expected HEIGHTxWIDTH in pixels, such as 400x600')
    return int(match[1]), int(match[2])


def kind_mismatch(value: Any, current: Any, annotation: Any = None) -> str | None:
    """What a field takes, if a value is clearly something else, such as text for a number.

    Args:
        value: The new value. None, lists and tuples always pass.
        current: The present value, or the default.
        annotation: The type annotation of the field, if known; a type in it is taken, whatever the present value is.

    Returns:
        str or None: Such as 'a number'; None if the value passes.
    """
    if not isinstance(value, (bool, int, float, str)) or type(value).__name__ in str(annotation):
        return None
    for kind, taken, name in KINDS:
        if isinstance(current, kind):
            return None if isinstance(value, taken) else name
    return None


def item_name(item: Any) -> str:
    """The name of an item of a list: its ``type`` or, without one, its ``name`` (a stage of a training); else ''."""
    if not isinstance(item, dict):
        return ''
    name = item.get('type', item.get('name', ''))
    return name if isinstance(name, str) else getattr(name, '__name__', '')


def item_index(items: Sequence[Any], name: str) -> int:
    """The index of the item of a list that a name refers to.

    Args:
        items (Sequence): For example the steps of a pipeline.
        name (str): Index, or type with or without its scope ('Flip' means 'mmagic.Flip'), or name of a stage.

    Raises:
        KeyError: If there is none, or more than one.
    """
    if name.isdigit():
        if int(name) < len(items):
            return int(name)
        raise KeyError(f'{name!r} is not an index of a list of {len(items)} items')
    names = [item_name(item) for item in items]
    found = [index for index, full in enumerate(names) if full and name in (full, full.rpartition('.')[2])]
    if len(found) == 1:
        return found[0]
    if found:
        raise KeyError(f'{name!r} could mean {len(found)} items of the list: name one by its index, '
                       f'{" or ".join(map(str, found))}')
    known = list(dict.fromkeys(full.rpartition('.')[2] for full in names if full))
    close = difflib.get_close_matches(name, known, n=3) or known
    raise KeyError(f'{name!r} is neither an index of a list of {len(items)} items nor the type of one'
                   + (f'. Did you mean {" or ".join(close)}?' if close else ''))


def by_index(changes: Any, node: Any, path: str) -> Any:
    """Changes to a config node as mmengine merges them: every type that names an item of a list is replaced by its index.

    Args:
        changes: Nested dict of changes; anything else is returned unchanged.
        node: The node to change.
        path (str): Its place in the config, for messages.

    Raises:
        KeyError: As in :func:`item_index`, naming the field.
    """
    if not isinstance(changes, dict):
        return changes
    if not isinstance(node, (list, tuple)):
        return {name: by_index(value, node.get(name) if isinstance(node, dict) else None, f'{path}.{name}'.lstrip('.'))
                for name, value in changes.items()}
    indexed: dict = {}
    for name, value in changes.items():
        try:
            index = item_index(node, name)
        except KeyError as error:
            raise KeyError(f'{path}: {error.args[0]}') from None
        value = by_index(value, node[index], f'{path}.{name}')
        before = indexed.get(str(index))
        indexed[str(index)] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
    if isinstance(node, list) and all(isinstance(value, dict) for value in indexed.values()):
        return indexed
    # mmengine merges into the items of a list, and only sets of fields: anything else comes with all of its list.
    items = [Config(dict(item=item)) for item in node]
    for name, value in indexed.items():
        items[int(name)].merge_from_dict(dict(item=value))
    return type(node)(item.item for item in items)


def merge_options(cfg: Config, options: dict) -> None:
    """Changes a config in place.

    Args:
        cfg (Config): The config.
        options (dict): Dotted fields -> their values; a dict among these is also merged field by field.

    Raises:
        KeyError: If the name of a list item is unknown or ambiguous.
    """
    changes: dict = {}
    for field, value in options.items():
        *parents, name = field.split('.')
        node = changes
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    cfg.merge_from_dict(by_index(changes, {name: cfg.get(name) for name in changes}, ''))


def stage_dataloader(base: dict, stage: dict) -> ConfigDict:
    """The config of a stage's data loader: that of the Runner, with the fields that the stage overrides.

    Raises:
        KeyError: If the stage names an item of a list, such as a step of the pipeline, that ``base`` does not have.
    """
    cfg = Config(dict(dataloader=deepcopy(base)))
    try:
        merge_options(cfg, dict(dataloader=deepcopy(stage.get('dataloader') or {})))
    except KeyError as error:
        raise KeyError(f'train_cfg.stages, {stage.get("name")}, {error.args[0]}') from None
    return cfg.dataloader
