from torch import Tensor, nn


class LayerNorm2d(nn.LayerNorm):
    """Normalizes the channels of each pixel: (N, C, H, W) -> the same shape. The keys are those of ``nn.LayerNorm``.

    torchvision has the same; importing it takes as long as importing mmengine.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
