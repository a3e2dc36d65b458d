import pytest
import torch
from mmengine.config import Config

from mmskf.engine.launch import prepare_launch_without_gpu


def test_launchers_that_need_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    prepare_launch_without_gpu(Config(dict(launcher='none')))
    with pytest.raises(RuntimeError, match='slurm needs GPUs.*dist_train.sh'):
        prepare_launch_without_gpu(Config(dict(launcher='slurm')))
