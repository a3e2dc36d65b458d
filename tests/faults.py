"""Kills trainings, and looks whether they go on as if nothing had been: ``python tests/faults.py --count 50``.

A tiny model is trained once without a fault. Then, for each fault, it is trained again, is struck at a random moment, and goes on
with ``--resume`` until its end: from the newest whole checkpoint to the same weights, bit by bit. The faults:

    time    SIGKILL at a random time
    write   SIGKILL in the middle of writing a file, or just before or after it gets its name
    disk    a disk that is full (a limit on the size of files, which a checkpoint hits)
    term    SIGTERM, to the process and its workers, as batch systems send it
    int     Ctrl-C, also to all
    worker  SIGKILL to a worker of the data loader
    image   an image that vanishes

One process imports everything and forks the trainings, so that each takes a second or two.
"""
import argparse
import os
import re
import resource
import signal
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'tests'), str(ROOT / 'tools')]
os.environ.setdefault('OMP_NUM_THREADS', '1')  # threads do not survive a fork

import numpy as np
import torch
import train
from tiny import write_pairs

from mmskf.engine.resume import newest_checkpoint
from mmskf.setup_env import register_all_modules
from mmskf.utils import files

FAULTS = ('time', 'write', 'disk', 'term', 'int', 'worker', 'image')
STATUS = dict(term=128 + signal.SIGTERM, int=128 + signal.SIGINT)
ITERATIONS = 24
CONFIG = f"""
_base_ = ['{ROOT}/configs/_base_/default_runtime.py']
custom_imports = dict(imports=['tiny'])
model = dict(type='TinyEditor')
train_dataloader = dict(
    batch_size=2, num_workers=2, persistent_workers=True, sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        type='EnhancementDataset', data_root='', data_prefix=dict(img='low', gt='normal'),
        pipeline=[dict(type='LoadImage', key='img'), dict(type='LoadImage', key='gt'),
                  dict(type='RandomCrop', keys=['img', 'gt'], crop_size=16),
                  dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5), dict(type='mmagic.PackInputs')]))
val_dataloader = dict(
    batch_size=1, num_workers=0, persistent_workers=False, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='EnhancementDataset', data_root='', data_prefix=dict(img='low', gt='normal'), test_mode=True,
                 pipeline=train_dataloader['dataset']['pipeline'][:2] + [dict(type='mmagic.PackInputs')]))
val_evaluator = dict(type='Evaluator', metrics=[dict(type='PSNR')])
test_dataloader, test_evaluator = val_dataloader, val_evaluator
train_cfg = dict(type='IterBasedTrainLoop', max_iters={ITERATIONS}, val_interval=8)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2))
param_scheduler = dict(type='CosineAnnealingLR', by_epoch=False, T_max={ITERATIONS})
default_hooks = dict(checkpoint=dict(interval=3, max_keep_ckpts=1, save_best='PSNR'), logger=dict(interval=1))
"""


class Training:
    """One training in a process of its own, which is forked.

    Args:
        folder (Path): Has the config and the data.
        work_dir (Path): Of the training.
        resume (bool): Whether it goes on.
        prepare (callable, optional): Called in the new process before the training.
    """

    def __init__(self, folder, work_dir, resume=False, prepare=None):
        # A pipe, not a file: what is said of a full disk must not need a place on it.
        reading, writing = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            status = 1
            try:
                os.dup2(writing, 1)
                os.dup2(writing, 2)
                os.setsid()
                if prepare:
                    prepare()
                status = self._train(folder, work_dir, resume)
            finally:
                os._exit(status)
        os.close(writing)
        self.output = b''
        self.reader = threading.Thread(target=self._collect, args=(reading, ))
        self.reader.start()

    def _collect(self, reading):
        with open(reading, 'rb') as file:
            while piece := file.read1():
                self.output += piece

    @staticmethod
    def _train(folder, work_dir, resume):
        sys.argv = ['tools/train.py', str(folder / 'config.py'), '--data-root', str(folder / 'data'), '--work-dir', str(work_dir),
                    *['--resume'] * resume]
        try:
            train.main(sys.argv[1:])
        except SystemExit as stop:
            return stop.code
        except BaseException:
            sys.excepthook(*sys.exc_info())
            return 1
        finally:
            sys.stdout.flush()
        return 0

    def wait(self):
        """The exit status: negative where a signal ended it."""
        _, status = os.waitpid(self.process, 0)
        self.reader.join()
        return os.waitstatus_to_exitcode(status)

    def wait_for(self, text):
        """Waits until the training has printed a text, or has ended."""
        while text not in self.read() and os.waitid(os.P_PID, self.process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.005)

    def read(self):
        return self.output.decode(errors='replace')

    def workers(self):
        return [int(number) for number in Path(f'/proc/{self.process}/task/{self.process}/children').read_text().split()]


def fail_while_writing(rng, fault):
    """Strikes at a random one of the files that this process writes, at a random place of it.

    Args:
        rng (np.random.Generator): Chooses.
        fault (str): 'write' kills the process there, 'disk' lets no file grow any more.
    """
    countdown, place = int(rng.integers(1, 20)), 'within' if fault == 'disk' else rng.choice(['within', 'before', 'after'])
    whole_open, replace = open, os.replace

    class Failing:

        def __init__(self, file):
            self.file = file

        def write(self, content):
            size = int(rng.random() * len(content))
            if countdown == 0 and place == 'within':
                if fault == 'disk':
                    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
                else:
                    self.file.write(content[:size])
                    self.file.flush()
                    os.kill(os.getpid(), signal.SIGKILL)
            return self.file.write(content)

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

    def failing_open(*args, **kwargs):
        nonlocal countdown
        countdown -= 1
        return Failing(whole_open(*args, **kwargs))

    def failing_replace(*args):
        if countdown == 0 and place == 'before':
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*args)
        if countdown == 0 and place == 'after':
            os.kill(os.getpid(), signal.SIGKILL)

    files.open, os.replace = failing_open, failing_replace


def strike(fault, folder, work_dir, durations, rng):
    """Trains with a fault.

    Args:
        fault (str): One of ``FAULTS``.
        folder (Path): Has the config and the data.
        work_dir (Path): Of the training.
        durations (tuple[float, float]): Seconds of a whole training, and from its first iteration on.
        rng (np.random.Generator): Chooses the moment.

    Returns:
        str or None: What was wrong with the answer to the fault.
    """
    image = folder / 'data' / 'low' / '1.png'
    prepare = partial(fail_while_writing, rng, fault) if fault in ('write', 'disk') else None
    training = Training(folder, work_dir, prepare=prepare)
    whole, iterations = durations
    if fault != 'time':  # which must not be spent on the start, without workers and handlers of signals
        training.wait_for('Iter(train)')
    time.sleep(rng.random() * (whole if fault == 'time' else iterations))
    content = image.read_bytes()
    try:
        if fault == 'time':
            os.kill(training.process, signal.SIGKILL)
        elif fault in ('term', 'int'):
            os.killpg(training.process, signal.SIGTERM if fault == 'term' else signal.SIGINT)
        elif fault == 'worker':
            for worker in training.workers()[:1]:
                os.kill(worker, signal.SIGKILL)
        elif fault == 'image':
            image.unlink()
    except (FileNotFoundError, ProcessLookupError):
        pass  # it was faster
    status = training.wait()
    image.write_bytes(content)
    last = training.read().strip().splitlines()[-1] if training.read().strip() else ''
    if status == 0:
        return None
    if fault in STATUS and (status != STATUS[fault] or 'Resume with: python tools/train.py' not in last):
        return f'exit status {status}, last line: {last}'
    if fault == 'worker' and not re.search(r'RuntimeError: A worker of a data loader .* died: .*--resume', last):
        return f'exit status {status}, output ends with: {training.read()[-600:]}'
    if fault == 'image' and '1.png' not in last:
        return f'last line: {last}'
    if fault == 'disk' and not re.search(r'File too large.*(\.pth|last_checkpoint)', last):
        return f'last line: {last}'
    return None


def check(fault, folder, number, expected, durations, rng):
    """One fault, and what comes after.

    Returns:
        tuple[int, list[str]]: The iteration that the training went on from, and what was wrong.
    """
    work_dir = folder / f'{fault}_{number}'
    wrong = [strike(fault, folder, work_dir, durations, rng)]
    for path in work_dir.glob('*.pth'):
        try:
            torch.load(path, weights_only=True)
        except Exception as error:
            wrong.append(f'{path.name} is torn: {error}')
    newest = newest_checkpoint(work_dir) if work_dir.exists() else None
    begin = int(re.search(r'\d+', newest.name)[0]) if newest else 0
    training = Training(folder, work_dir, resume=True)
    status = training.wait()
    if status:
        wrong.append(f'the resumed training failed: {training.read()[-2000:]}')
    elif begin and f'resumes from {newest}, iteration {begin}' not in training.read():
        wrong.append(f'it did not go on from {newest}')
    else:
        found = torch.load(work_dir / f'iter_{ITERATIONS}.pth', weights_only=True)['state_dict']
        if not all(torch.equal(value, found[key]) for key, value in expected.items()):
            wrong.append('other weights than those of the uninterrupted training')
    left = [path.name for path in work_dir.glob(f'.*{files.PART}')]
    return begin, [text for text in [*wrong, *(f'{name} is left over' for name in left)] if text]


def main(args=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--count', type=int, default=50, help='faults in all, taken in turns')
    parser.add_argument('--faults', nargs='+', choices=FAULTS, default=FAULTS)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args(args)
    register_all_modules()
    torch.set_num_threads(1)
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / 'config.py').write_text(CONFIG)
        write_pairs(folder / 'data')
        started = time.time()
        training = Training(folder, folder / 'whole')
        training.wait_for('Iter(train)')
        begun = time.time()
        assert training.wait() == 0, training.read()
        durations = time.time() - started, time.time() - begun
        expected = torch.load(folder / 'whole' / f'iter_{ITERATIONS}.pth', weights_only=True)['state_dict']
        for number in range(args.count):
            fault, rng = args.faults[number % len(args.faults)], np.random.default_rng((args.seed, number))
            begin, wrong = check(fault, folder, number, expected, durations, rng)
            failures += bool(wrong)
            outcome = '; '.join(wrong) or 'the same weights'
            print(f'{number + 1:3} {fault:6} went on from iteration {begin:2}: {outcome}', flush=True)
    print(f'{args.count - failures} of {args.count} went on to the weights of the uninterrupted training ({durations[0]:.1f} s)')
    return failures


if __name__ == '__main__':
    raise SystemExit(bool(main()))
