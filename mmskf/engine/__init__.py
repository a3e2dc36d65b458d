from .hooks import *  # noqa: F401, F403
from .log_processor import LogProcessor  # noqa: F401
from .loops import *  # noqa: F401, F403
from .optim_wrapper import Bf16OptimWrapper  # noqa: F401
from .optim_wrapper_constructor import EditorOptimWrapperConstructor  # noqa: F401
from .runner import Runner  # noqa: F401
from .schedulers import ReduceOnPlateauLR  # noqa: F401
from .vis_backend import LocalVisBackend  # noqa: F401
