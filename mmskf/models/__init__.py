from .editors import *  # noqa: F401, F403
