import errno
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from processes import environment

from mmskf.utils import errors
from mmskf.utils.errors import run_tool
from mmskf.utils.options import item_index

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ['demo/enhance.py', *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / 'tools').rglob('*.py'))]


def raise_(error):
    raise error


@pytest.fixture
def answer(monkeypatch, capsys):
    """Exit code and last words of a tool whose main is a function."""
    monkeypatch.setattr(sys, 'argv', ['tools/some.py'])
    monkeypatch.delenv('MMSKF_TRACEBACK', raising=False)

    def run(main):
        with pytest.raises(SystemExit) as end:
            run_tool(main)
        return end.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize('main, code, message', [
    (lambda: None, 0, ''),
    (lambda: 0, 0, ''),
    (lambda: 3, 1, ''),
    (lambda: item_index([1], '5'), 2, "some.py: '5' is not an index of a list of 1 items\n"),
    (lambda: os.stat('/nowhere/x'), 2, "some.py: [Errno 2] No such file or directory: '/nowhere/x'\n"),
    (lambda: raise_(OSError(errno.ENOSPC, 'No space left', 'x.pth')), 2, "some.py: [Errno 28] No space left: 'x.pth'\n"),
    (lambda: raise_(KeyboardInterrupt), 130, 'some.py: stopped\n'),
])
def test_what_the_user_can_mend_is_one_sentence(answer, main, code, message):
    assert answer(main) == (code, message)


def test_what_went_wrong_on_the_way_is_no_wrong_call(answer, monkeypatch):
    """Raised here, as by mmskf."""
    monkeypatch.setattr(errors, 'SPEAKERS', (__name__.partition('.')[0], ))
    assert answer(lambda: raise_(FloatingPointError('loss_recon is nan'))) == (1, 'some.py: loss_recon is nan\n')
    assert answer(lambda: raise_(RuntimeError('a worker died'))) == (1, 'some.py: a worker died\n')
    assert answer(lambda: raise_(ValueError('no such method'))) == (2, 'some.py: no such method\n')
    with pytest.raises(AssertionError):
        run_tool(lambda: raise_(AssertionError('a bug')))


@pytest.mark.parametrize('code', [0, 3])
def test_processes_that_gloo_connects_end_without_destructors(tmp_path, code):
    """These would run while gloo's threads do; what Python has to do at exit is done."""
    script = tmp_path / 'tool.py'
    script.write_text(
        'import atexit, ctypes, sys\n'
        'import torch.distributed\n'
        'from mmskf.utils.errors import run_tool\n'
        'libc = ctypes.CDLL(None)\n'
        'libc.strdup.restype = ctypes.c_void_p\n'
        'def main():\n'
        '    libc.__cxa_atexit(libc.puts, ctypes.c_void_p(libc.strdup(b"destructed")), None)\n'
        '    atexit.register(print, "ended")\n'
        f'    if {code}:\n'
        f'        sys.exit({code})\n'
        'store = torch.distributed.FileStore("store", 1)\n'
        'if sys.argv[1:] == ["gloo"]:\n'
        '    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)\n'
        'run_tool(main)\n')
    for arguments, said in ([], 'ended\ndestructed\n'), (['gloo'], 'ended\n'):
        result = subprocess.run([sys.executable, script, *arguments], cwd=tmp_path, capture_output=True, text=True,
                                env=environment(ROOT))
        assert (result.returncode, result.stdout) == (code, said), result.stderr


@pytest.mark.parametrize('main, error', [
    (lambda: {}['x'], KeyError),
    (lambda: None + 1, TypeError),
    (lambda: raise_(ValueError('of other code')), ValueError),
    (lambda: torch.zeros(2) + torch.zeros(3), RuntimeError),
    (lambda: item_index(None, 'x'), TypeError),  # arises in mmskf, which did not check
])
def test_a_bug_keeps_its_traceback(answer, main, error):
    with pytest.raises(error):
        run_tool(main)


def test_traceback_of_a_message(answer, monkeypatch):
    monkeypatch.setenv('MMSKF_TRACEBACK', '1')
    code, text = answer(lambda: item_index([1], '5'))
    assert code == 2 and 'Traceback' in text and 'in item_index' in text


def call(monkeypatch, capsys, name, *args):
    """Exit code and stderr of a tool that is run as a program."""
    monkeypatch.setattr(sys, 'argv', [str(ROOT / name), *map(str, args)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / name), run_name='__main__')
    return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize('name', TOOLS)
def test_every_tool_ends_by_run_tool(name):
    assert re.search(r"if __name__ == '__main__':\n    run_tool\(main\)\n\Z", (ROOT / name).read_text())


@pytest.mark.parametrize('name, args, message', [
    ('tools/train.py', ['nobody'], "no config or model called 'nobody'"),
    ('tools/train.py', ['drbn_lol', '--cfg-options', 'optim_wrapper.optimizer.lr=abc'],
     '--cfg-options optim_wrapper.optimizer.lr=abc: expected a number, such as 0.0001'),
    ('tools/train.py', ['drbn_lol', '--cfg-options', 'lr'], "'lr': expected FIELD=VALUE"),
    ('tools/train.py', ['drbn_lol', '--work-dir', '{here}/file'], '{here}/file is a file, not a folder'),
    ('tools/train.py', ['clahe', '--work-dir', '{here}/new'], 'nothing to train'),
    ('tools/test.py', ['nobody'], "no config or model called 'nobody'"),
    ('tools/test.py', ['drbn_lol', 'x.pth', '--unpaired', '{here}'], 'none of the folders MEF'),
    ('demo/enhance.py', ['{here}/file', '--model', 'nobody'], "no config or model called 'nobody'"),
    ('demo/enhance.py', ['{here}/file', '--model', 'drbn_lol'], 'drbn_lol was given no weights'),
    ('tools/model_converters/official_to_mmskf.py', ['drbn', '{here}/file', '{here}'], '{here} is a folder'),
    ('tools/model_converters/official_to_mmskf.py', ['drbn', '{here}/file', '{here}/file/x.pth'], 'is a file, not a folder'),
    ('tools/model_converters/official_to_mmskf.py', ['drbn', '{here}/file', '{here}/x.pth'], '{here}/file is empty'),
    ('tools/analysis_tools/analyze_logs.py', ['{here}'], '{here} contains no log'),
    ('tools/analysis_tools/analyze_logs.py', ['{here}', '--out', '{here}'], '{here} is a folder'),
    ('tools/analysis_tools/browse_dataset.py', ['drbn_lol', '--out', '{here}'], '{here} is a folder'),
    ('tools/analysis_tools/get_flops.py', ['drbn_lol', '--size', '40'], "'40': expected HEIGHTxWIDTH in pixels"),
    ('tools/analysis_tools/gradient_share.py', ['drbn_lol', '{here}/file'], '{here}/file is empty'),
    ('tools/analysis_tools/benchmark.py', ['drbn_lol', '--checkpoint', '{here}/file'], '{here}/file is empty'),
    ('tools/analysis_tools/benchmark.py', ['drbn_lol', '--repeats', '0'], "'0': expected a whole number of 1 or more"),
    ('tools/analysis_tools/run_ablation.py', ['3', '--work-dir', '{here}/file'], '{here}/file is a file, not a folder'),
    *((f'tools/analysis_tools/{name}.py', [*args, '--device', 'cuda:99'], 'The device cuda:99 is not available')
      for name, *args in (['benchmark', 'drbn_lol'], ['benchmark_sch'], ['benchmark_skb', 'x'], ['skb_stability', 'x'],
                          ['benchmark_memory', 'drbn_lol'], ['gpu_report'], ['gradient_share', 'drbn_lol', 'x.pth'],
                          ['niqe_table', '{here}', '--models', 'clahe'])),
    ('tools/analysis_tools/skb_stability.py', ['nobody', '--data-root', '{here}'], '{here}/eval15'),
    ('tools/model_converters/publish_model.py', ['{here}/file', '{here}'], '{here} is a folder'),
    ('tools/model_converters/publish_model.py', ['{here}/file', '{here}/x.pth'], '{here}/file is empty'),
    ('tools/dataset_converters/resize_pairs.py', ['lol', '{here}', '{here}/file/new'], 'is a file, not a folder'),
    ('tools/dataset_converters/check_dataset.py', ['paired', '{here}', '--against', '{here}'], 'no image there'),
    ('tools/dataset_converters/synthesize_low_light.py', ['{here}/new', '--photos', '{here}/none'], 'no such folder'),
    ('tools/dataset_converters/synthesize_low_light.py', ['{here}/file'], '{here}/file is a file, not a folder'),
])
def test_tools_say_what_is_wrong(name, args, message, tmp_path, monkeypatch, capsys):
    """In one line, which is the last one, before any work."""
    (tmp_path / 'file').touch()
    code, text = call(monkeypatch, capsys, name, *(arg.format(here=tmp_path) for arg in args))
    last = text.strip().splitlines()[-1]
    assert code == 2 and 'Traceback' not in text
    assert last.startswith(f'{Path(name).name}: ') and message.format(here=tmp_path) in last
    assert [path.name for path in tmp_path.iterdir()] == ['file']
