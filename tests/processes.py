"""Tests in processes of their own, and with the same sums in every run."""
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def environment(*folders, **variables):
    """The environment of a process that imports from ``folders`` first, and then from where this one does."""
    path = [*map(str, folders), *filter(None, [os.environ.get('PYTHONPATH')])]
    return dict(os.environ, PYTHONPATH=os.pathsep.join(path), **variables)


def train_by_two(config, pairs, work_dir, *args, folders=()):
    """Trains by dist_train.sh in two processes and returns the log; on the CPU, since NCCL would want a GPU for each."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
    result = subprocess.run(
        ['bash', 'tools/dist_train.sh', str(config), '2', '--data-root', str(pairs), '--work-dir', str(work_dir), *args],
        env=environment(*folders, PYTHON=sys.executable, MASTER_PORT=str(port), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''),
        cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


def use_cpu(patch):
    """Makes a Runner train on the CPU also where there is a GPU, whose gradients are not the same to the bit in every run."""
    patch.setattr('mmengine.device.utils.DEVICE', 'cpu')
