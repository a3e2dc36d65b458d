"""Launching several processes."""
import torch
from mmengine.config import Config


def prepare_launch(cfg: Config) -> None:
    """Prepares a Runner's config for several processes, with GPUs or without.

    Args:
        cfg (Config): The Runner's config, changed in place, with ``launcher``: 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        RuntimeError: If what is asked for needs GPUs and there are none.
    """
    if cfg.get('model_wrapper_cfg') and 'find_unused_parameters' in cfg:
        # mmengine looks at it only where there is no config of a wrapper.
        cfg.model_wrapper_cfg.find_unused_parameters = cfg.find_unused_parameters
    prepare_launch_without_gpu(cfg)


def prepare_launch_without_gpu(cfg: Config) -> None:
    """Creates the process group with gloo if there is no GPU: mmengine's ``init_dist`` calls ``torch.cuda.set_device``.

    The Runner keeps an existing process group, but gives ``DistributedDataParallel`` one device per process, which only GPUs
    provide.

    Args:
        cfg (Config): The Runner's config, with ``launcher``: 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        RuntimeError: Without a GPU, for launchers other than 'none' and 'pytorch', and for ``sync_bn``.
    """
    if cfg.launcher == 'none' or torch.cuda.is_available():
        return
    if cfg.launcher != 'pytorch':
        raise RuntimeError(f'--launcher {cfg.launcher} needs GPUs, but none is visible. On CPUs start with torchrun: '
                           'bash tools/dist_train.sh CONFIG PROCESSES')
    if cfg.get('sync_bn'):
        raise RuntimeError('sync_bn needs GPUs, but none is visible: PyTorch synchronizes BatchNorms only there. Leave it out')
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    wrapper = cfg.get('model_wrapper_cfg') or dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    cfg.model_wrapper_cfg = dict(wrapper, device_ids=None)
