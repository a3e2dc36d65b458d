import pytest
import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from torch import nn

from mmskf.engine.launch import prepare_launch
from mmskf.models import EditorDistributedDataParallel


def test_launchers_that_need_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    prepare_launch(Config(dict(launcher='none', sync_bn='torch')))
    with pytest.raises(RuntimeError, match=r'slurm needs GPUs.*dist_train.sh'):
        prepare_launch(Config(dict(launcher='slurm')))
    with pytest.raises(RuntimeError, match='sync_bn needs GPUs'):
        prepare_launch(Config(dict(launcher='pytorch', sync_bn='torch')))


@pytest.mark.parametrize('find', [True, False])
def test_unused_weights_are_looked_for_in_the_generator_alone(find):
    """By the field that mmengine has for it, although there is the config of a wrapper."""
    cfg = Config(dict(launcher='none', find_unused_parameters=find, model_wrapper_cfg=dict(type='EditorDistributedDataParallel')))
    prepare_launch(cfg)
    editor = nn.Module()
    editor.generator, editor.discriminator = nn.Linear(1, 1), nn.Linear(1, 1)
    torch.distributed.init_process_group('gloo', store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        EditorDistributedDataParallel(editor, find_unused_parameters=cfg.model_wrapper_cfg.find_unused_parameters)
        parts = editor.generator, editor.discriminator
        assert all(isinstance(part, MMDistributedDataParallel) for part in parts)
        assert [part.find_unused_parameters for part in parts] == [find, False]
    finally:
        torch.distributed.destroy_process_group()
