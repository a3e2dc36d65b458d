import os
import shlex
import signal
import sys
import threading
import time
from typing import List, Optional, Sequence

import torch
from mmengine.dist import all_reduce, barrier, is_distributed, is_main_process
from mmengine.hooks import CheckpointHook as BaseCheckpointHook
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmskf.engine.faults import SIGNALS
from mmskf.registry import HOOKS

# torchrun passes a Ctrl-C on to processes that have it from the terminal already.
ECHO = 1.  # seconds


@HOOKS.register_module()
class InterruptHook(Hook):
    """Saves a checkpoint before a training stops that is told to: by Ctrl-C, SIGTERM or SIGUSR1.

    The iteration is finished, the checkpoint saved, and the last line says how to go on; the exit status is 128 and the
    signal's number. A second signal stops at once. In a distributed training one process that is told is enough, and all stop
    after the same iteration. A validation of a single process is left, and made up for when the training goes on.

    Raises:
        SystemExit: After the checkpoint is saved.
    """
    priority = 'LOWEST'  # after CheckpointHook

    def __init__(self):
        self.signal = 0  # the one that was received
        self.process: Optional[int] = None
        self.since = 0.

    def before_train(self, runner: Runner) -> None:
        """Begins to listen, if this is the main thread, the only one that may."""
        self.signal, self.process = 0, os.getpid()
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._receive)

    def _receive(self, number: int, frame) -> None:
        if os.getpid() != self.process:  # a worker of a data loader, which has inherited this
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
            os.write(2, f'\n{signal.Signals(number).name}: a checkpoint will be saved after this iteration. Once more stops at '
                        'once, without it.\n'.encode())

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Stops after an iteration."""
        told = torch.tensor(self.signal)
        all_reduce(told, 'max')
        if told:
            self._stop(runner, runner.iter + 1, int(told))

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Stops in a validation; several processes would not be at the same image."""
        if self.signal and self.process and not is_distributed():
            runner.message_hub.update_info('iter_validated', 0)
            self._stop(runner, runner.iter, self.signal)

    def after_train(self, runner: Runner) -> None:
        """Listens no more; the Runner restores what was before."""
        self.process = None

    def _stop(self, runner: Runner, step: int, number: int):
        hook = next((hook for hook in runner.hooks if isinstance(hook, BaseCheckpointHook)), None)
        if hook is None or hook.by_epoch:
            saved = 'no checkpoint is saved' + ('' if hook is None else ' within an epoch')
        else:
            hook.save(runner, step)
            saved = f'it is saved in {hook.last_ckpt}'
        barrier()
        runner.logger.info(f'{signal.Signals(number).name}: the training stops after iteration {step} of {runner.max_iters}; {saved}. '
                           f'Go on with: {resume_command(sys.argv)}')
        raise SystemExit(128 + number)


def resume_command(argv: Sequence[str]) -> str:
    """The command line that goes on with the training that ``argv`` started: the same, and --resume."""
    kept: List[str] = []
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
