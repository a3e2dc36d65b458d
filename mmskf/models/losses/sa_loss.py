from contextlib import contextmanager
from typing import Dict, Iterable, List, NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.ops import masks_to_boxes
from torchvision.transforms import RandomCrop

from mmskf.registry import MODELS
from mmskf.structures import SemanticPrior

from .regions import inside_regions

VARIANTS = ('paper', 'classic', 'official')


class Region(NamedTuple):
    """A class region of one image, inside its bounding box.

    Args:
        sample (int): Index of the image in the batch.
        rows (slice): Rows of the box.
        columns (slice): Columns of the box.
        mask (Tensor): True on the region, (1, rows, columns), bool.
    """
    sample: int
    rows: slice
    columns: slice
    mask: Tensor


@contextmanager
def temporarily(items: Iterable, attribute: str, value):
    """Sets an attribute of all items and gives each its own value back afterwards."""
    before = [(item, getattr(item, attribute)) for item in items]
    try:
        for item, _ in before:
            setattr(item, attribute, value)
        yield
    finally:
        for item, old in before:
            setattr(item, attribute, old)


@contextmanager
def without_gradient(discriminator: nn.Module):
    """No graph inside. The parameters are frozen besides: autocast keeps its casts of parameters that require gradient, and
    some versions of torch then use those made without a graph in the next forward pass, whose gradient is lost."""
    with torch.no_grad(), temporarily(discriminator.parameters(), 'requires_grad', False):
        yield


def adversarial(scores: Tensor, real: bool) -> Tensor:
    """Least-squares GAN: the mean squared distance of the scores (N, 1) to 1 for real, to 0 for fake."""
    return F.mse_loss(scores, torch.full_like(scores, float(real)))


@MODELS.register_module()
class SALoss(nn.Module):
    """Semantic-guided adversarial loss (SKF, Eq. 11 to 14), for both sides of one discriminator D.

    Local: the candidates are the class regions of the output without their boundaries; the one that D takes for the most
    fake is the fake patch (Eq. 12), random crops of the ground truth are the real ones. Global: whole images beside the
    class scores of the prior (Eq. 13), for fake and real alike. D learns real -> 1 and fake -> 0, the generator fake -> 1.

    D belongs to the caller, with an optimizer of its own, and is handed over in training mode: its BatchNorm normalises each
    batch of real and of fake by itself, as released. Its running statistics follow what D trains on and nothing else:

    - Ranking scores the candidates of all samples in one batch with D in eval mode, so that the score of a region depends
      neither on the other candidates nor on their number, and nothing of D changes.
    - The generator's pass normalises by the batch, like D's own, but leaves running statistics, parameters and their
      ``.grad`` untouched.

    A sample without a region of ``min_pixels`` has no local term. Where a whole batch has none, the local term is a zero
    that still reaches each parameter of D (its pass) or the output (the generator's), so that DistributedDataParallel does
    not wait for gradients that never come. A SyncBatchNorm in D would wait, though: leave D's BatchNorm local.

    ``variant='classic'`` is the global and local loss without semantics that the paper compares with (Table 4, 'w/o S'), after
    EnlightenGAN (Jiang et al., TIP 2021): fake patches are random crops as well, one a sample and pass, and D sees whole images
    without class scores. There is no prior, D needs no stem for one (``num_classes=0``), and ``max_regions``,
    ``edge_width``, ``min_pixels`` and ``real_mask`` do nothing. All else is as above, so that the two compare: EnlightenGAN
    itself has two discriminators, a relativistic global term and five patches an image.

    ``variant='official'`` reproduces the released code of DRBN-SKF with its oddities, and uses ``loss_weight`` only:

    - Both local terms use the softmax plane of the class of second-largest soft area as a mask over the whole image. The
      largest class was meant to be tried too, and the worse of the two to be taken, but both masks are one tensor object.
      There is no cleaned boundary, no crop, and the real image gets the mask of the fake one.
    - D's local terms weigh 0.1, its global terms 0.9, and D sees no semantics: its second stem is never trained.
    - The generator has a global term only, of the output beside the *softmax* map, through the untrained stem.
    - D's loss is not detached from output and map. The released trainer retains this graph, and clears what it leaves in the
      generator before the generator's own backward pass: a caller that hands over ``pred.detach()`` and a prior of
      ``logits.detach()`` trains the same network without either.

    Args:
        variant (str): 'paper', 'classic' or 'official'.
        patch_size (int): Side of the local patches, real and fake, in pixels; 32 or more (D needs 2x2 in its last map).
        max_regions (int): Candidates of a sample: its largest cleaned class regions.
        edge_width (int): Width of the boundary that a region loses, see :func:`inside_regions`.
        min_pixels (int): A cleaned region of fewer pixels is no candidate: enlarged to a patch it would be interpolation.
        real_mask (bool): Whether real patches get the mask of the fake patch, so that D cannot tell them by their shape. A
            deviation from the paper.
        loss_weight (float): Weight of the generator's terms, lambda_SA in Eq. 15.

    Raises:
        ValueError: If ``variant`` is unknown or ``patch_size`` too small.

    Examples:
        >>> losses = sa_loss.discriminator_loss(discriminator, pred, gt, prior)
        >>> d_optim.update_params(losses['loss_D_local'] + losses['loss_D_global'])
        >>> losses = sa_loss.generator_loss(discriminator, pred, gt, prior)  # after D's update, as released
    """

    def __init__(self,
                 variant: str = 'paper',
                 patch_size: int = 64,
                 max_regions: int = 8,
                 edge_width: int = 2,
                 min_pixels: int = 256,
                 real_mask: bool = False,
                 loss_weight: float = 1.):
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f'variant of SALoss is {variant!r}; choose one of {list(VARIANTS)}')
        if patch_size < 32:
            raise ValueError(f'patch_size of SALoss is {patch_size}, expected 32 or more: the discriminator halves a patch '
                             'four times, and its BatchNorm needs more than one value')
        self.variant = variant
        self.patch_size = patch_size
        self.max_regions = max_regions
        self.edge_width = edge_width
        self.min_pixels = min_pixels
        self.real_mask = real_mask
        self.loss_weight = loss_weight

    @property
    def semantic(self) -> bool:
        """Whether a prior is needed."""
        return self.variant != 'classic'

    def discriminator_loss(self, discriminator: nn.Module, pred: Tensor, gt: Tensor,
                           prior: Optional[SemanticPrior] = None) -> Dict[str, Tensor]:
        """What the discriminator minimises.

        Args:
            discriminator (nn.Module): D: (N, 3, H, W) or (N, 3 + classes, H, W) -> (N, 1) in [0, 1].
            pred (Tensor): Enhanced images, (N, 3, H, W), about [0, 1]. Detached here (not by the official variant).
            gt (Tensor): Ground truth, (N, 3, H, W) in [0, 1]. Sides shorter than the patch give a crop that is enlarged.
            prior (SemanticPrior, optional): Its logits are at the size of the images. Detached here like ``pred``. Not
                looked at by the classic variant.

        Returns:
            dict[str, Tensor]: 'loss_D_local' and 'loss_D_global'.

        Raises:
            ValueError: If images and logits differ in size, or there is no prior and the variant needs one.
        """
        self._check(pred, gt, prior)
        if self.variant == 'official':
            return self._official_discriminator_loss(discriminator, pred, gt, prior)
        pred, prior = pred.detach(), prior.detach() if self.semantic else None
        targets = self._target_regions(discriminator, pred, prior)
        if targets:
            local = (adversarial(discriminator(self._real_patches(gt, targets)), True)
                     + adversarial(discriminator(self._patches(pred, targets)), False))
        else:
            local = sum((parameter * 0).sum() for parameter in discriminator.parameters())
        return dict(
            loss_D_local=local,
            loss_D_global=adversarial(discriminator(self._whole(gt, prior)), True)
            + adversarial(discriminator(self._whole(pred, prior)), False))

    def generator_loss(self, discriminator: nn.Module, pred: Tensor, gt: Tensor,
                       prior: Optional[SemanticPrior] = None) -> Dict[str, Tensor]:
        """What the generator minimises. Gradient reaches ``pred``, and the logits where they carry a graph, but not D.

        Args:
            discriminator, pred, gt, prior: As in :meth:`discriminator_loss`. ``gt`` is only checked for its size.

        Returns:
            dict[str, Tensor]: 'loss_SA_local' (not with the official variant) and 'loss_SA_global', weighted.

        Raises:
            ValueError: If images and logits differ in size, or there is no prior and the variant needs one.
        """
        self._check(pred, gt, prior)
        with temporarily(discriminator.parameters(), 'requires_grad', False):
            if self.variant == 'official':
                # the softmax map, where D was meant to see the logits; D's running statistics follow, but nothing reads them
                scores = discriminator(torch.cat((pred, prior.probs), dim=1))
                return dict(loss_SA_global=self.loss_weight * adversarial(scores, True))
            targets = self._target_regions(discriminator, pred, prior)
            batch_norms = [module for module in discriminator.modules() if isinstance(module, _BatchNorm)]
            with temporarily(batch_norms, 'track_running_stats', False):
                if targets:
                    local = adversarial(discriminator(self._patches(pred, targets)), True)
                else:
                    local = (pred * 0).sum()
                whole = adversarial(discriminator(self._whole(pred, prior)), True)
        return dict(loss_SA_local=self.loss_weight * local, loss_SA_global=self.loss_weight * whole)

    @staticmethod
    def _official_discriminator_loss(discriminator, pred, gt, prior):
        """The released loss of D; its BatchNorms see six batches in this order."""
        second = prior.probs.sum(dim=(2, 3)).topk(2, dim=1).indices[:, 1]
        mask = prior.probs[torch.arange(len(second), device=second.device), second].unsqueeze(1)
        whole = adversarial(discriminator(pred), False) + adversarial(discriminator(gt), True)
        local = 0.
        for image, real in ((pred * mask, False), (gt * mask, True)):
            # Once for each of the two masks that are one tensor. The two losses are equal, one is kept; the other forward
            # is left with its effect on the running statistics.
            with without_gradient(discriminator):
                discriminator(image)
            local = local + adversarial(discriminator(image), real)
        return dict(loss_D_local=0.1 * local / 2, loss_D_global=0.9 * whole / 2)

    def _whole(self, image, prior) -> Tensor:
        """What D sees of a whole image (Eq. 13)."""
        return torch.cat((image, prior.logits), dim=1) if self.semantic else image

    def _target_regions(self, discriminator, pred, prior) -> List[Region]:
        """Eq. 12: of each sample's candidates the one that D scores lowest; samples without candidates are left out.

        Without semantics a random crop of each sample.
        """
        if not self.semantic:
            return [self._random_crop(pred, sample) for sample in range(len(pred))]
        candidates = self._candidates(prior.labels)
        if not candidates:
            return []
        with without_gradient(discriminator), temporarily(discriminator.modules(), 'training', False):
            scores = discriminator(self._patches(pred, candidates)).flatten().tolist()
        worst = {}
        for score, region in sorted(zip(scores, candidates), key=lambda scored: scored[0]):
            worst.setdefault(region.sample, region)
        return [worst[sample] for sample in sorted(worst)]

    def _candidates(self, labels) -> List[Region]:
        """The largest cleaned class regions of all samples; labels (N, H, W)."""
        inside = inside_regions(labels, self.edge_width)
        regions = []
        for sample in range(len(labels)):
            areas = labels[sample][inside[sample]].bincount()
            areas, classes = areas.topk(min(self.max_regions, len(areas)))
            classes = classes[areas >= self.min_pixels]
            masks = (labels[sample] == classes[:, None, None]) & inside[sample]
            for mask, box in zip(masks, masks_to_boxes(masks).int().tolist()):
                rows, columns = slice(box[1], box[3] + 1), slice(box[0], box[2] + 1)
                regions.append(Region(sample, rows, columns, mask[None, rows, columns]))
        return regions

    def _patches(self, images, regions) -> Tensor:
        """Masked regions, cut to their boxes and resized: (len(regions), 3, patch_size, patch_size)."""
        return torch.cat([self._resize(images[region.sample, :, region.rows, region.columns] * region.mask)
                          for region in regions])

    def _real_patches(self, gt, fakes) -> Tensor:
        """A random crop of the ground truth of each fake: (len(fakes), 3, patch_size, patch_size)."""
        patches = self._patches(gt, [self._random_crop(gt, fake.sample) for fake in fakes])
        if self.real_mask and self.semantic:
            patches = patches * torch.cat([self._resize(fake.mask) for fake in fakes])
        return patches

    def _random_crop(self, images, sample) -> Region:
        """A random patch of an image, or as much of it as the image has; nothing is masked."""
        size = [min(self.patch_size, side) for side in images.shape[-2:]]
        top, left, height, width = RandomCrop.get_params(images[sample], size)
        mask = torch.ones((1, height, width), dtype=torch.bool, device=images.device)
        return Region(sample, slice(top, top + height), slice(left, left + width), mask)

    def _resize(self, image) -> Tensor:
        """(C, H, W) -> (1, C, patch_size, patch_size). Antialiased: gradient reaches all pixels of a large region."""
        # at least float32: masks are bool, and half precision lacks this kernel on the CPU
        image = image[None].to(torch.promote_types(image.dtype, torch.float32))
        return F.interpolate(image, (self.patch_size, self.patch_size), mode='bilinear', antialias=True)

    def _check(self, pred, gt, prior):
        if self.semantic and prior is None:
            raise ValueError(f'SALoss(variant={self.variant!r}) needs the semantic prior of the images; only the classic '
                             'variant has none')
        if pred.shape != gt.shape or self.semantic and pred.shape[-2:] != prior.logits.shape[-2:]:
            scores = f'class scores of {tuple(prior.logits.shape)}' if self.semantic else 'no class scores'
            raise ValueError(f'SALoss got an output of shape {tuple(pred.shape)}, a ground truth of {tuple(gt.shape)} and '
                             f'{scores}: the images must be of one shape, and the logits of the prior as large as they are')
