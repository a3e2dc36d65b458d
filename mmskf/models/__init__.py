from typing import Any

from . import skb
from .data_parallel import EditorDistributedDataParallel, StagedSeparateDistributedDataParallel  # noqa: F401
from .data_preprocessors import *  # noqa: F403
from .discriminators import *  # noqa: F403
from .editors import *  # noqa: F403
from .enhancement_net import EnhancementNet  # noqa: F401
from .losses import *  # noqa: F403
from .se_modules import *  # noqa: F403
from .se_wrapper import SEWrapper  # noqa: F401
from .skb import *  # noqa: F403


def __getattr__(name: str) -> Any:
    return getattr(skb, name)  # HRNet and FCNHead, which import mmsegmentation
