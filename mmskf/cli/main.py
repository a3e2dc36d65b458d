"""The command ``mmskf``: its subcommands, and what they share."""
import argparse
import sys
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec
from typing import TextIO

from mmskf.export import is_exported
from mmskf.utils.allocator import keep_freed_memory
from mmskf.utils.errors import INTERRUPTED, OF_CALL, OF_EXECUTION, WRONG_CALL, show_error
from mmskf.utils.logs import logs_to_stderr
from mmskf.version import __version__

from . import enhance, export, info, list_models, score, web

LIGHT = ('this installation has no PyTorch and OpenMMLab, and only runs exported models (mmskf enhance --model FILE.onnx); for '
         'everything else install mmskf with its requirements: docs/install.md')
DESCRIPTION = 'Makes dark photos bright.'
EXAMPLES = '''examples:
  mmskf enhance night.jpg -o bright              one photo; the result is bright/night.jpg
  mmskf enhance Photos -o bright                 a folder with its subfolders
  mmskf enhance Photos -o bright --strength 0.7  a milder result
  mmskf list                                     the available models
  mmskf score bright                             how natural the results look, as a number
  mmskf export drbn_lol -o drbn.onnx             a model as a file for onnxruntime
  mmskf web                                      a page in the browser that does the same

"mmskf enhance --help" explains all settings. Your photos themselves are never changed.
The exit code is 0 if everything succeeded, 1 if some photos failed (they are listed), 2 if there was nothing to do
or the call was wrong.'''


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command and all its subcommands."""
    parser = argparse.ArgumentParser(prog='mmskf', description=DESCRIPTION, epilog=EXAMPLES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--version', action='version', version=f'mmskf {__version__}')
    commands = parser.add_subparsers(title='commands', metavar='COMMAND', required=True)
    for module in (enhance, list_models, info, score, export, web):
        module.add_parser(commands)
    return parser


def main(args: list[str] | None = None) -> int:
    """Runs the command.

    Args:
        args (list[str], optional): Arguments. Defaults to None: those of the process.

    Returns:
        int: Exit code: 0 if everything succeeded, 1 if some photos failed, 2 for a wrong call or nothing to do.
    """
    parsed = build_parser().parse_args(args)
    keep_freed_memory()
    run: Callable[[argparse.Namespace], int] = parsed.run
    show_warning = warnings.showwarning
    exported = is_exported(getattr(parsed, 'model', None))  # it is run without MMEngine
    if not exported and find_spec('mmengine') is None:
        print(f'mmskf: {LIGHT}', file=sys.stderr)
        return WRONG_CALL
    warnings.showwarning = _say_warning
    try:
        with nullcontext() if exported else logs_to_stderr('mmskf'):
            return run(parsed)
    except KeyboardInterrupt:
        print('mmskf: stopped', file=sys.stderr)
        return INTERRUPTED
    except OF_CALL + OF_EXECUTION as error:
        show_error(error, 'mmskf')
        return WRONG_CALL
    finally:
        warnings.showwarning = show_warning


def _say_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
                 line: str | None = None) -> None:
    """Prints warnings for users in one line, and drops those for programmers."""
    if issubclass(category, UserWarning):
        print(f'mmskf: {message}', file=sys.stderr)
