import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, is_distributed, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmskf.engine.faults import SIGNALS
from mmskf.registry import HOOKS

from .checkpoint_hook import CheckpointHook

# torchrun forwards a Ctrl-C to processes that already got it from the terminal.
ECHO = 1.  # seconds


@HOOKS.register_module()
class InterruptHook(Hook):
    """Saves a checkpoint before a training stops on Ctrl-C, SIGTERM or SIGUSR1.

    The iteration is finished, the checkpoint saved, and the last line says how to resume; the exit status is 128 plus the
    signal's number. A second signal stops at once. In distributed training it is enough to signal one process: all stop after
    the same iteration. A single-process validation is abandoned, and run again when training resumes.

    Raises:
        SystemExit: After the checkpoint is saved.
    """
    priority = 'LOWEST'  # after CheckpointHook

    def __init__(self) -> None:
        self.signal = 0  # the one that was received
        self.process: int | None = None
        self.since = 0.

    def before_train(self, runner: Runner) -> None:
        """Starts to listen, if this is the main thread, the only one that may."""
        self.signal, self.process = 0, os.getpid()
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.process:  # a data-loader worker, which has inherited the handler
            return
        if self.signal and time.monotonic() - self.since < ECHO:
            return
        if self.signal:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.signal, self.since = number, time.monotonic()
        if is_main_process():
            # Neither print nor a logger: this may interrupt one of them.
            os.write(2, f'\n{signal.Signals(number).name}: a checkpoint will be saved after this iteration. A second signal '
                        'stops at once, without saving.\n'.encode())

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Stops after an iteration."""
        told = torch.tensor(self.signal)
        all_reduce(told, 'max')
        if told:
            self._stop(runner, runner.iter + 1, int(told))

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Stops during a validation; several processes would not be at the same image."""
        if self.signal and self.process and not is_distributed():
            runner.message_hub.update_info('iter_validated', 0)
            self._stop(runner, runner.iter, self.signal)

    def after_train(self, runner: Runner) -> None:
        """Stops listening; the Runner restores the previous handlers."""
        self.process = None

    def _stop(self, runner: Runner, step: int, number: int) -> None:
        hook = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
        if hook is None or hook.by_epoch:
            saved = 'no checkpoint is saved' + ('' if hook is None else ' within an epoch')
        else:
            hook.save(runner, step)
            saved = f'it is saved in {hook.last_ckpt}'
        barrier()
        runner.logger.info(f'{signal.Signals(number).name}: training stops after iteration {step} of {runner.max_iters}; '
                           f'{saved}. Resume with: {resume_command(sys.argv)}')
        raise SystemExit(128 + number)


def resume_command(argv: Sequence[str]) -> str:
    """The command line that resumes the training started by ``argv``: the same, plus --resume."""
    kept: list[str] = []
    skip = False
    for argument in argv:
        if skip and not argument.startswith('-'):  # the value of --resume
            skip = False
            continue
        skip = argument == '--resume'
        if not skip and not argument.startswith('--resume='):
            kept.append(argument)
    processes = os.environ.get('LOCAL_WORLD_SIZE')
    if processes and '--launcher' in kept:
        begin = kept.index('--launcher')
        del kept[begin:begin + 2]
        script = os.path.join(os.path.dirname(kept[0]), 'dist_train.sh')
        return shlex.join(['bash', script, kept[1], processes, *kept[2:], '--resume'])
    return shlex.join(['python', *kept, '--resume'])
