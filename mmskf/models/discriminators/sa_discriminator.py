import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmskf.registry import MODELS


@MODELS.register_module()
class SADiscriminator(BaseModule):
    """The discriminator of the SA loss (SKF, Sec. 3.4), for both local patches and whole images with their semantics.

    Eight convolutions with two stems, one for images and one for images concatenated with class scores. The score is the mean
    of the score map: unlike a PatchGAN's, patches are not scored one by one. Layers have the names of the released code. The
    biases of ``conv2`` to ``conv8`` have no effect in training mode (BatchNorm removes them); they are kept to match the
    released layout. Layers have PyTorch's default initialization, as released.

    Args:
        num_classes (int): Classes of the semantic knowledge bank. 0: there is no bank, the discriminator sees only images (the
            classic variant of :class:`SALoss`) and has one stem. Defaults to 59 (PASCAL-Context).
        variant (str): 'official' pads the 1x1 convolution ``conv9`` by one, as released: the border cells then hold only its
            bias, which pulls the mean of small images toward it. It also freezes ``conv0``, the stem with class scores: the
            released discriminator loss never trains it, and DistributedDataParallel must not wait for its gradient. 'paper'
            does neither.
        init_cfg (dict, optional): MMEngine's initialization config.

    Shape:
        (N, 3, H, W) or (N, 3 + num_classes, H, W), any size -> (N, 1) in (0, 1), where 1 means real. In training mode the last
        feature map, at 1/16 resolution, must have more than one value per channel: an image larger than 16x16, or N > 1.
    """
    widths = (64, 64, 128, 128, 256, 256, 512, 512)

    def __init__(self, num_classes: int = 59, variant: str = 'paper', init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if variant not in ('paper', 'official'):
            raise ValueError(f"variant of SADiscriminator is {variant!r}, expected 'paper' or 'official'")
        self.num_classes = num_classes
        if num_classes:
            self.conv0 = nn.Conv2d(3 + num_classes, self.widths[0], 3, padding=1)
        self.conv1 = nn.Conv2d(3, self.widths[0], 3, padding=1)
        for i in range(2, 9):
            stride = 2 if i % 2 == 0 else 1
            self.add_module(f'conv{i}', nn.Conv2d(self.widths[i - 2], self.widths[i - 1], 3, stride, padding=1))
            self.add_module(f'bn{i}', nn.BatchNorm2d(self.widths[i - 1]))
        self.conv9 = nn.Conv2d(self.widths[-1], 1, 1, padding=1 if variant == 'official' else 0)
        if variant == 'official' and num_classes:
            self.conv0.requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores images, or images concatenated with class scores.

        Raises:
            ValueError: If the input has neither 3 nor 3 + num_classes channels.
        """
        channels = inputs.shape[1]
        if channels not in (3, 3 + self.num_classes):
            raise ValueError(f'SADiscriminator got {channels} channels, expected 3 (an image) or {3 + self.num_classes} (an '
                             f'image and {self.num_classes} class scores): its num_classes must be the number of classes of '
                             'the semantic knowledge bank')
        # The outputs of fast networks are channels last, in which training these layers takes 1.2 times as long on a CPU.
        inputs = inputs.contiguous()
        x = F.relu(self.conv1(inputs) if channels == 3 else self.conv0(inputs))
        for i in range(2, 9):
            x = F.relu(getattr(self, f'bn{i}')(getattr(self, f'conv{i}')(x)))
        return self.conv9(x).mean(dim=(2, 3)).sigmoid()
