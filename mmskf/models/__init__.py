from .data_parallel import EditorDistributedDataParallel, StagedSeparateDistributedDataParallel  # noqa: F401
from .discriminators import *  # noqa: F401, F403
from .editors import *  # noqa: F401, F403
from .enhancement_net import EnhancementNet  # noqa: F401
from .losses import *  # noqa: F401, F403
from .se_modules import *  # noqa: F401, F403
from .skb import *  # noqa: F401, F403
