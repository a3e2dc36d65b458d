from .hooks import *  # noqa: F403
from .loops import *  # noqa: F403
from .optim_wrapper import Bf16OptimWrapper  # noqa: F401
from .optim_wrapper_constructor import EditorOptimWrapperConstructor  # noqa: F401
