"""What tools share."""
import os
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from mmengine.config import Config

from mmskf.engine.launch import prepare_launch
from mmskf.utils.files import check_destination
from mmskf.utils.options import add_cfg_options

from .config import check_model, load_config, use_amp
from .model import check_device


def add_runner_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of every tool with a Runner."""
    parser.add_argument('--work-dir', help='where logs, pictures and checkpoints go (default: work_dirs/CONFIG)')
    parser.add_argument('--data-root', help="where the images are (default: the config's)")
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    add_cfg_options(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=SUPPRESS)


def add_device_argument(parser: ArgumentParser, default: str | None = 'cpu') -> None:
    """Adds ``--device``; one that is not there ends the tool before any work. None: a GPU where there is one, else the CPU."""
    parser.add_argument('--device', type=_available, default=default,
                        help=f'such as cpu or cuda:0 (default: {default or "a GPU where there is one"})')


def _available(device: str) -> str:
    try:
        check_device(device)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
    return device


def runner_config(args: Namespace) -> Config:
    """The Runner's config as the arguments ask for it; a process group for CPUs is made where one is needed.

    Raises:
        FileNotFoundError, KeyError, TypeError: As :func:`load_config`.
        OSError: If nothing can be written to the work dir.
        RuntimeError: If the launcher needs GPUs and there are none.
        ValueError: If the config describes no model, or asks for ``efficient_conv_bn_eval``, which is not for these models.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options, args.data_root)
    check_model(cfg)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
    check_destination(cfg.work_dir, folder=True)
    if args.amp:
        use_amp(cfg)
    if cfg.get('efficient_conv_bn_eval'):
        raise ValueError('efficient_conv_bn_eval: only the BatchNorms of the knowledge bank are in eval mode in training, and '
                         'torch.fx cannot trace its HRNet. Set model.skb.fuse_conv_bn=True instead')
    prepare_launch(cfg)
    return cfg
