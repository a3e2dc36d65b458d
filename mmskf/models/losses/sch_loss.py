import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmskf.registry import MODELS

from .regions import inside_regions
from .soft_histogram import BINS, NUM_BINS, find_regions, region_histogram

NORMALIZERS = ('pixels', 'pixels_classes_channels', 'sum')


@MODELS.register_module()
class SCHLoss(nn.Module):
    """Semantic-guided color histogram loss (SKF, section 3.3, Eq. 6 to 10).

    L1 distance between the soft color histograms of two images, per class region; or of the whole images without semantics,
    the variant that the paper compares it with (Table 4, 'w/o S').

    Args:
        num_classes (int, optional): Number of classes in the label map; required unless ``semantic`` is False.
        bins (str): 'paper' (edges (i -+ 0.5) / 255) or 'official' (edges i / 256). Defaults to 'paper'.
        alpha (float): Steepness of the histogram's sigmoids. Defaults to 400.
        edge_width (int): Pixels whose (2 edge_width + 1)^2 window contains another label are ignored; 0 keeps all, as the
            released code does. Defaults to 2.
        normalizer (str): What the distances, summed over classes and channels, are divided by. 'sum': the batch size alone,
            which is Eq. 10; 'pixels': 256 N H W, as in the released LLFlow and SNR-LLIE-Net; 'pixels_classes_channels':
            also by the number of classes and channels, as in the released DRBN. Defaults to 'pixels'.
        loss_weight (float): Weight of the loss. Defaults to 1.
        semantic (bool): False treats the whole image as one region: there are no labels and no boundaries, and
            ``num_classes`` and ``edge_width`` have no effect. Defaults to True.

    Shape:
        pred (N, channels, H, W) and target (N, channels, H, W), both in [0, 1] and differentiable; labels (N, H, W),
        integers, ignored outside 0..num_classes-1 -> scalar, float32 even for half-precision inputs

    Raises:
        ValueError: If ``bins`` or ``normalizer`` is unknown, ``edge_width`` is negative, ``num_classes`` or the labels are
            missing, or shapes do not match.
    """

    def __init__(self,
                 num_classes: int | None = None,
                 bins: str = 'paper',
                 alpha: float = 400.,
                 edge_width: int = 2,
                 normalizer: str = 'pixels',
                 loss_weight: float = 1.,
                 semantic: bool = True):
        super().__init__()
        if not semantic:
            num_classes = 1
        elif num_classes is None:
            raise ValueError('SCHLoss needs num_classes, the number of classes in the label map; only the histogram of the '
                             'whole image (semantic=False) has none')
        if bins not in BINS:
            raise ValueError(f'bins of SCHLoss is {bins!r}; choose one of {list(BINS)}')
        if normalizer not in NORMALIZERS:
            raise ValueError(f'normalizer of SCHLoss is {normalizer!r}; choose one of {list(NORMALIZERS)}')
        if edge_width < 0:
            raise ValueError(f'edge_width of SCHLoss is {edge_width}; it must be 0 (keep all pixels) or more')
        self.num_classes = num_classes
        self.bins = bins
        self.alpha = alpha
        self.edge_width = edge_width
        self.normalizer = normalizer
        self.loss_weight = loss_weight
        self.semantic = semantic

    def forward(self, pred: Tensor, target: Tensor, labels: Tensor | None = None) -> Tensor:
        if pred.shape != target.shape:
            raise ValueError(f'SCHLoss was given pred of shape {tuple(pred.shape)} and target of shape '
                             f'{tuple(target.shape)}; both must be (N, channels, H, W) of the same size')
        if not self.semantic:
            labels = torch.zeros_like(pred[:, 0], dtype=torch.long)
        elif labels is None:
            raise ValueError('SCHLoss was given no labels (N, H, W); only the histogram of the whole image (semantic=False) '
                             'needs none')
        regions = find_regions(torch.where(inside_regions(labels, self.edge_width), labels, -1), self.num_classes)
        of_pred, of_target = (region_histogram(image, regions, self.bins, self.alpha) for image in (pred, target))
        distance = F.l1_loss(of_pred, of_target, reduction='sum')
        num_images, channels, height, width = pred.shape
        divisor = num_images
        if self.normalizer != 'sum':
            divisor *= NUM_BINS * height * width
        if self.normalizer == 'pixels_classes_channels':
            divisor *= self.num_classes * channels
        return self.loss_weight * distance / divisor
