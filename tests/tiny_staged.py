"""RetinexNet in miniature: two subnets that are trained one after the other, one with BatchNorm, one with an SE module."""
import torch
from torch import nn

from mmskf.models import EnhancementNet
from mmskf.models.discriminators import SADiscriminator
from mmskf.models.se_modules import SEModuleList
from mmskf.registry import MODELS
from mmskf.structures import Decomposition, Relighting


@MODELS.register_module()
class TinyRetinexNet(EnhancementNet):
    stages = ('decom', 'relight')

    def __init__(self, se=None, exposure='auto'):
        super().__init__()
        self.exposure = exposure
        self.test_uses_gt = exposure == 'gt'
        self.decom = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.Sigmoid())
        self.relight = nn.Conv2d(4, 4, 3, padding=1)
        self.se = SEModuleList(se, channels=(4, ))
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, inputs, prior=None, gt=None, stage=None):
        if stage == 'decom':
            return Decomposition(inputs, gt, *self._decompose(inputs), *self._decompose(gt))
        self.decom.eval()
        with torch.no_grad():
            reflectance, illumination = self._decompose(inputs)
            exposure = gt.mean() if self.exposure == 'gt' and stage is None else 1
        features = self.se(0, self.relight(torch.cat([reflectance, illumination * exposure], dim=1)), prior)
        illumination = self.head(features)
        return Relighting(reflectance * illumination, reflectance, illumination)

    def _decompose(self, image):
        return self.decom(image).split([3, 1], dim=1)


@MODELS.register_module()
class ThinDiscriminator(SADiscriminator):
    """The discriminator of the SA loss, a sixteenth as wide."""
    widths = tuple(width // 16 for width in SADiscriminator.widths)
