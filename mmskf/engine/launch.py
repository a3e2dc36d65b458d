"""Starting several processes."""
import atexit

import torch
from mmengine.config import Config


def leave_process_group() -> None:
    """Ends the process group, if it is still there."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def prepare_launch_without_gpu(cfg: Config) -> None:
    """Makes the process group with gloo where there is no GPU: mmengine's ``init_dist`` calls ``torch.cuda.set_device``.

    The Runner leaves a process group that exists as it is, but gives ``DistributedDataParallel`` a device for each process,
    which only GPUs have.

    Args:
        cfg (Config): The Runner's config, with ``launcher``: 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        RuntimeError: Without a GPU, for launchers other than 'none' and 'pytorch'.
    """
    if cfg.launcher == 'none' or torch.cuda.is_available():
        return
    if cfg.launcher != 'pytorch':
        raise RuntimeError(f'--launcher {cfg.launcher} needs GPUs, and none is visible. On CPUs start with torchrun: '
                           'bash tools/dist_train.sh CONFIG PROCESSES')
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
        # A process that ends while gloo's threads run is aborted, now and then, after all its work is done.
        atexit.register(leave_process_group)
    wrapper = cfg.get('model_wrapper_cfg') or dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    cfg.model_wrapper_cfg = dict(wrapper, device_ids=None)
