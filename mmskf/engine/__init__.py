from .hooks import *  # noqa: F403
from .loops import *  # noqa: F403
from .optim_wrapper import Bf16OptimWrapper  # noqa: F401
