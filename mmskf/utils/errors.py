"""Errors as users see them: one sentence for what they can mend, a traceback for a bug."""
import atexit
import opcode
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from .allocator import keep_freed_memory

#: Exit codes: something failed on the way; there was nothing to do, or the call was wrong; Ctrl-C.
FAILED, WRONG_CALL, INTERRUPTED = 1, 2, 130
#: What messages to users are raised as, those that concern the call first, then those that concern its execution.
OF_CALL = (OSError, ValueError, LookupError, TypeError, ImportError)
OF_EXECUTION = (RuntimeError, ArithmeticError, MemoryError)
# Whose messages are for users; '__main__' is a tool.
SPEAKERS = ('__main__', 'mmskf', 'mmengine')


def message_of(error: BaseException) -> str:
    """The text of an error, without the quotes that Python puts around that of a KeyError."""
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error) or type(error).__name__


def is_for_user(error: BaseException) -> bool:
    """Whether an error is a message to the user, who can mend its cause, and not a bug.

    The operating system's errors are. Others are if mmskf, one of its tools, or MMEngine checked something and raised them; an
    error that arose by itself, such as that of a key which code of mmskf takes for granted, or elsewhere, is a bug.
    """
    if isinstance(error, OSError):
        return True
    origin = error.__traceback__
    while origin and origin.tb_next:
        origin = origin.tb_next
    if origin is None or not isinstance(error, OF_CALL + OF_EXECUTION):
        return False
    frame = origin.tb_frame
    by_raise_statement = opcode.opname[frame.f_code.co_code[origin.tb_lasti]] == 'RAISE_VARARGS'
    return by_raise_statement and frame.f_globals.get('__name__', '').partition('.')[0] in SPEAKERS


def show_error(error: BaseException, program: str) -> None:
    """Prints the text of an error to stderr, or its traceback if ``MMSKF_TRACEBACK=1`` is in the environment."""
    if os.environ.get('MMSKF_TRACEBACK'):
        traceback.print_exception(error)
    else:
        print(f'{program}: {message_of(error)}', file=sys.stderr)


def run_tool(main: Callable[[], int | None]) -> NoReturn:
    """Runs the ``main`` of a tool and ends the process.

    An error that is a message to the user is printed as such; a bug keeps its traceback. The exit code is 0 if everything
    succeeded, 2 if the call was wrong, else 1.

    Args:
        main (callable): Returns the number of things that failed, or None.
    """
    program = Path(sys.argv[0]).name
    keep_freed_memory()
    try:
        code = FAILED if main() else 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else FAILED
    except KeyboardInterrupt:
        print(f'{program}: stopped', file=sys.stderr)
        code = INTERRUPTED
    except Exception as error:
        if not is_for_user(error):
            raise
        show_error(error, program)
        code = WRONG_CALL if isinstance(error, OF_CALL) else FAILED
    _exit(code)


def _exit(code: int) -> NoReturn:
    """Ends the process as ``sys.exit`` does, without the destructors of C++ if gloo connects it to others.

    DistributedDataParallel keeps gloo's threads alive to the end. If another process leaves first, they touch what the
    destructors have destroyed, and the process is sometimes aborted after all its work is done.
    """
    distributed = sys.modules.get('torch.distributed')
    if distributed and distributed.is_available() and distributed.is_initialized() and distributed.get_backend() == 'gloo':
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
