import os
from typing import Any

import mmcv
import numpy as np
from mmengine.visualization import LocalVisBackend as BaseLocalVisBackend
from mmengine.visualization.vis_backend import force_init_env

from mmskf.registry import VISBACKENDS


@VISBACKENDS.register_module()
class LocalVisBackend(BaseLocalVisBackend):
    """mmengine's, but pictures are written completely or not at all, with an error if the disk is full.

    Args:
        **kwargs: See ``mmengine.visualization.LocalVisBackend``.
    """

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Writes a picture, (H, W, 3), uint8, RGB, as NAME_STEP.png."""
        mmcv.imwrite(mmcv.rgb2bgr(image), os.path.join(self._img_save_dir, f'{name}_{step}.png'))
