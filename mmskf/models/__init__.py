from .editors import *  # noqa: F401, F403
from .skb import *  # noqa: F401, F403
