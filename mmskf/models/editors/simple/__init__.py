from .lime import LIME
from .simple_editor import SimpleEditor
from .tone import CLAHE, GammaCorrection, Identity

__all__ = ['CLAHE', 'GammaCorrection', 'Identity', 'LIME', 'SimpleEditor']
