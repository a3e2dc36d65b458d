import json
import logging
import multiprocessing
import os
import shutil
import signal
import time

import numpy as np
import pytest
import torch
from tiny import loader, runner_for_training, write_pairs

from mmskf.datasets import LoadImage, decode_image
from mmskf.engine.faults import dead_workers_explained, worker_errors_shortened
from mmskf.engine.hooks.interrupt_hook import InterruptHook, resume_command
from mmskf.engine.resume import newest_checkpoint
from mmskf.engine.work_dir_lock import LOCK, WorkDirInUseError, locked
from mmskf.utils.errors import is_for_user


@pytest.fixture(scope='module')
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp('pairs'))


@pytest.fixture(scope='module')
def trained(pairs, tmp_path_factory):
    """A work dir with the checkpoints of iterations 1 to 4."""
    folder = tmp_path_factory.mktemp('trained') / 'work'
    runner_for_training(folder, pairs).train()
    return folder


@pytest.fixture
def work_dir(trained, tmp_path):
    """A copy to spoil."""
    shutil.copytree(trained, tmp_path / 'work')
    (tmp_path / 'work' / 'last_checkpoint').write_text(str(tmp_path / 'work' / 'iter_4.pth'))
    return tmp_path / 'work'


def tear(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize('spoil, expected', [
    (lambda folder: None, 4),
    (lambda folder: (folder / 'last_checkpoint').unlink(), 4),
    (lambda folder: (folder / 'last_checkpoint').write_text(''), 4),
    (lambda folder: (folder / 'last_checkpoint').write_text('/nowhere/iter_9.pth'), 4),
    (lambda folder: (folder / 'last_checkpoint').write_text(str(folder / 'iter_2.pth')), 4),
    (lambda folder: tear(folder / 'iter_4.pth'), 3),
    (lambda folder: [tear(folder / f'iter_{number}.pth') for number in (3, 4)], 2),
    (lambda folder: (folder / 'iter_4.pth').write_bytes(b''), 3),
    (lambda folder: torch.save({}, folder / 'iter_9.pth'), 4),
])
def test_the_newest_whole_checkpoint(work_dir, spoil, expected):
    spoil(work_dir)
    assert newest_checkpoint(work_dir) == work_dir / f'iter_{expected}.pth'


def test_a_checkpoint_whose_numbers_are_damaged_is_not_whole(work_dir):
    """The archive looks whole: only its checksums tell."""
    content = bytearray((work_dir / 'iter_4.pth').read_bytes())
    weight = torch.load(work_dir / 'iter_4.pth')['state_dict']['generator.weight'].numpy().tobytes()
    content[content.find(weight)] ^= 1
    (work_dir / 'iter_4.pth').write_bytes(content)
    assert newest_checkpoint(work_dir) == work_dir / 'iter_3.pth'


def test_of_two_trainings_the_later_one_counts(work_dir):
    """A second, shorter training in the same folder: its checkpoint has the smaller number."""
    checkpoint = torch.load(work_dir / 'iter_2.pth')
    checkpoint['meta']['time'] = '99991231_000000'
    torch.save(checkpoint, work_dir / 'iter_2.pth')
    assert newest_checkpoint(work_dir) == work_dir / 'iter_2.pth'


def test_checkpoints_elsewhere(work_dir, tmp_path):
    """As CheckpointHook(out_dir=...) leaves them."""
    (tmp_path / 'other').mkdir()
    for path in work_dir.glob('*.pth'):
        path.rename(tmp_path / 'other' / path.name)
    (work_dir / 'last_checkpoint').write_text(str(tmp_path / 'other' / 'iter_4.pth'))
    assert newest_checkpoint(work_dir) == tmp_path / 'other' / 'iter_4.pth'


def test_where_no_checkpoint_is_whole_nothing_starts_over(pairs, work_dir):
    for path in work_dir.glob('*.pth'):
        tear(path)
    runner = runner_for_training(work_dir, pairs, resume=True)
    with pytest.raises(ValueError, match='contains 4 checkpoints, but training can resume from none.*iter_1.pth is incomplete'):
        runner.train()
    assert len(list(work_dir.glob('*.pth'))) == 4


def test_a_new_work_dir_starts_at_the_beginning_and_says_so(pairs, tmp_path):
    runner = runner_for_training(tmp_path / 'work', pairs, resume=True, log_level='INFO')
    runner.train()
    assert f'no checkpoint in {tmp_path}/work yet' in next((tmp_path / 'work').glob('*/*.log')).read_text()
    assert (tmp_path / 'work' / 'iter_4.pth').exists()


def test_resume_auto_starts_from_load_from_where_there_is_no_checkpoint_yet(pairs, trained, tmp_path):
    """And resumes from its own checkpoint as soon as there is one."""
    for iterations in (1, 3):
        runner = runner_for_training(tmp_path / 'work', pairs, iterations=iterations, log_level='INFO', resume='auto',
                                     load_from=str(trained / 'iter_4.pth'))
        runner.train()
    logs = [path.read_text() for path in sorted((tmp_path / 'work').glob('*/*.log'))]
    assert f'Load checkpoint from {trained}/iter_4.pth' in logs[0]
    assert f'resumes from {tmp_path}/work/iter_1.pth, iteration 1' in logs[-1] and runner.iter == 3


def test_an_unseeded_training_goes_on_with_its_seed(pairs, tmp_path):
    runner_for_training(tmp_path / 'work', pairs, iterations=2, randomness=dict(seed=None)).train()
    seed = torch.load(tmp_path / 'work' / 'iter_2.pth')['meta']['seed']
    runner = runner_for_training(tmp_path / 'work', pairs, resume=True, randomness=dict(seed=None))
    runner.train()
    assert runner.seed == seed == runner.train_dataloader.dataset.seed[0]


def test_weights_alone_are_nothing_to_go_on_from(pairs, trained, tmp_path):
    weights = torch.load(trained / 'iter_4.pth')['state_dict']
    torch.save(dict(state_dict=weights), tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match='weights.pth contains no training state .it has no meta.*load_from'):
        runner_for_training(tmp_path / 'work', pairs, resume=True, load_from=str(tmp_path / 'weights.pth')).train()


@pytest.mark.parametrize('weights, message', [
    (dict(net=torch.zeros(1)), 'other.pth holds the weights of another model: 2 keys are missing.*Nothing matches.*official_to'),
    ({}, 'holds no weights'),
    ({'generator.weight': torch.zeros(3, 3, 1, 1)},
     r'1 keys are missing \(such as generator.bias\). 1 of the 2 tensors of this model match, 75.0% .*--partial'),
    ({'generator.bias': torch.full((3, ), torch.nan)}, 'generator.bias in it has 3 of 3 numbers that are NaN'),
    ({'generator.bias': torch.zeros(3, dtype=torch.int64)}, 'generator.bias in it has integers'),
])
def test_load_from_is_as_strict_as_testing(pairs, tmp_path, weights, message):
    torch.save(dict(state_dict=weights), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=message):
        runner_for_training(tmp_path / 'work', pairs, load_from=str(tmp_path / 'other.pth')).train()
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_a_part_of_the_weights(pairs, tmp_path):
    """Also with an average of the weights, which mmengine fills from the file itself."""
    torch.save({'module.generator.weight': torch.full((3, 3, 1, 1), 0.25), 'head.weight': torch.zeros(1)}, tmp_path / 'part.pth')
    runner = runner_for_training(tmp_path / 'work', pairs, [dict(type='EMAHook')], lr=0., load_from=str(tmp_path / 'part.pth'),
                                 load_partial=True)
    runner.train()
    assert (runner.model.generator.weight == 0.25).all() and (runner.model.generator.bias == 0).all()
    assert '1 of the 2 tensors of this model match, 75.0% of its numbers' in next((tmp_path / 'work').glob('*/*.log')).read_text()


def _hold(folder, entered):
    with locked(folder, logging.getLogger()):
        entered.send(True)
        time.sleep(600)


@pytest.fixture
def holder(tmp_path):
    """A process that has the lock of a folder."""
    context = multiprocessing.get_context('fork')
    entered, sending = context.Pipe(duplex=False)
    process = context.Process(target=_hold, args=(tmp_path / 'work', sending))
    process.start()
    assert entered.poll(60)
    yield process
    process.kill()
    process.join()


def test_one_training_a_work_dir(pairs, tmp_path, holder):
    runner = runner_for_training(tmp_path / 'work', pairs)
    with pytest.raises(WorkDirInUseError, match=f'process {holder.pid} on .*, since 2.* trains there'):
        runner.train()
    assert json.loads((tmp_path / 'work' / LOCK).read_text())['process'] == holder.pid
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_a_lock_of_a_killed_process_is_taken_over(pairs, tmp_path, holder):
    holder.kill()
    holder.join()
    runner_for_training(tmp_path / 'work', pairs, iterations=1).train()
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    assert f'process {holder.pid} on ' in log and 'was killed: its lock is taken over' in log
    assert (tmp_path / 'work' / LOCK).read_text() == ''


def test_the_lock_is_given_up_after_an_error(pairs, tmp_path):
    runner = runner_for_training(tmp_path / 'work', pairs)
    runner.model.spoil = lambda losses, iteration: 1 / 0
    with pytest.raises(ZeroDivisionError):
        runner.train()
    assert (tmp_path / 'work' / LOCK).read_text() == ''
    runner_for_training(tmp_path / 'work', pairs, iterations=1).train()


def test_a_validation_that_was_due_is_made_up_for(pairs, tmp_path):
    """A checkpoint is written before the validation of its iteration; after a kill in between, that comes first."""
    config = dict(val_cfg=dict(type='mmagic.MultiValLoop'), val_dataloader=loader(pairs), val_evaluator=[dict(type='PSNR')])

    def train(**kwargs):
        runner = runner_for_training(tmp_path / 'work', pairs, log_level='INFO', **config, **kwargs)
        runner._train_loop['val_interval'] = 2
        validated = []
        run = runner.build_val_loop(runner._val_loop)
        runner._val_loop = run
        original = run.run
        run.run = lambda: (validated.append(runner.iter), original())
        runner.train()
        return validated

    assert train() == [2, 4]
    for later in (3, 4):
        (tmp_path / 'work' / f'iter_{later}.pth').unlink()
    assert train(resume=True) == [2, 4]


def test_a_second_signal_stops_at_once(monkeypatch):
    """But for the echo of the first one, which torchrun passes on."""
    hook = InterruptHook()
    hook.process = os.getpid()
    hook._receive(signal.SIGINT, None)
    hook._receive(signal.SIGINT, None)
    assert hook.signal == signal.SIGINT
    monkeypatch.setattr('mmskf.engine.hooks.interrupt_hook.ECHO', 0.)
    with pytest.raises(KeyboardInterrupt):
        hook._receive(signal.SIGINT, None)


@pytest.mark.parametrize('argv, expected', [
    ('tools/train.py c.py', 'python tools/train.py c.py --resume'),
    ('tools/train.py c.py --resume w/iter_2.pth --amp', 'python tools/train.py c.py --amp --resume'),
    ('tools/train.py c.py --resume --work-dir a', 'python tools/train.py c.py --work-dir a --resume'),
    ('tools/train.py c.py --resume=auto', 'python tools/train.py c.py --resume'),
])
def test_the_command_that_goes_on(argv, expected, monkeypatch):
    assert resume_command(argv.split()) == expected
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '4')
    distributed = [*argv.split()[:2], '--launcher', 'pytorch', *argv.split()[2:]]
    assert resume_command(distributed) == expected.replace('python tools/train.py c.py', 'bash tools/dist_train.sh c.py 4')


class Dies(torch.utils.data.Dataset):
    """Its worker is killed with the third sample."""

    def __getitem__(self, index):
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.zeros(1000)

    def __len__(self):
        return 4


def test_a_dead_worker():
    expected = r'^A worker of a data loader \(process \d+\) died: it (is killed by signal|exited unexpectedly).* --resume$'
    with pytest.raises(RuntimeError, match=expected), dead_workers_explained():
        list(torch.utils.data.DataLoader(Dies(), num_workers=1))
    with pytest.raises(RuntimeError, match='^other$'), dead_workers_explained():
        raise RuntimeError('other')


class Fails(torch.utils.data.Dataset):
    """Its only sample is a call."""

    def __init__(self, call):
        self.call = call

    def __getitem__(self, index):
        return self.call()

    def __len__(self):
        return 1


@pytest.mark.parametrize('call, kind, message', [
    (lambda: decode_image(b'', 'low/7.png'), OSError, '^low/7.png cannot be read as an image'),
    (lambda: os.stat('/nowhere/x'), OSError, r"^\[Errno 2\] No such file or directory: '/nowhere/x'$"),
    (lambda: LoadImage('img').transform(dict(img=np.zeros((2, 2, 7)))), ValueError, "^The array given as 'img'"),
])
def test_what_the_user_can_mend_is_one_sentence_from_a_worker_too(call, kind, message):
    with pytest.raises(kind, match=message) as error, worker_errors_shortened():
        next(iter(torch.utils.data.DataLoader(Fails(call), num_workers=1)))
    assert is_for_user(error.value) and 'Traceback' not in str(error.value) and 'Traceback' in str(error.value.__cause__)


@pytest.mark.parametrize('call', [lambda: int('x'), lambda: LoadImage('img').transform({})])
def test_bugs_in_a_worker_keep_their_traceback(call):
    """An error of another library, and one in code of mmskf that did not raise it."""
    with pytest.raises(Exception, match='^.?Caught .* in DataLoader worker process 0') as error, worker_errors_shortened():
        next(iter(torch.utils.data.DataLoader(Fails(call), num_workers=1)))
    assert not is_for_user(error.value)
