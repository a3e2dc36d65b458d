"""The web page of ``mmskf web``. Only :mod:`mmskf.web.page` and :mod:`mmskf.web.server` need gradio (extra ``demo``)."""
from .studio import Outcome, Studio
from .visits import Visits

__all__ = ['Outcome', 'Studio', 'Visits']
