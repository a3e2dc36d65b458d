from .discriminators import *  # noqa: F401, F403
from .editors import *  # noqa: F401, F403
from .losses import *  # noqa: F401, F403
from .necks import *  # noqa: F401, F403
from .skb import *  # noqa: F401, F403
from .staged_wrapper import StagedSeparateDistributedDataParallel  # noqa: F401
