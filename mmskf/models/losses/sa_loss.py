from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmskf.registry import MODELS
from mmskf.structures import SemanticPrior

from .regions import inside_regions

VARIANTS = ('paper', 'classic', 'official')


class Region(NamedTuple):
    """A class region of an image, within its bounding box.

    Args:
        sample (int): Index of the image in the batch.
        rows (slice): Rows of the box.
        columns (slice): Columns of the box.
        mask (Tensor): True inside the region, (1, rows, columns), bool.
    """
    sample: int
    rows: slice
    columns: slice
    mask: Tensor


@contextmanager
def temporarily(items: Iterable, attribute: str, value: bool) -> Iterator[None]:
    """Sets an attribute of all items and restores each item's own value afterwards."""
    before = [(item, getattr(item, attribute)) for item in items]
    try:
        for item, _ in before:
            setattr(item, attribute, value)
        yield
    finally:
        for item, old in before:
            setattr(item, attribute, old)


@contextmanager
def without_gradient(discriminator: nn.Module) -> Iterator[None]:
    """Disables gradients. The parameters are frozen as well: autocast caches its casts of parameters that require gradients,
    and some versions of torch reuse casts made without a graph in the next forward pass, which then loses its gradients."""
    with torch.no_grad(), temporarily(discriminator.parameters(), 'requires_grad', False):
        yield


@contextmanager
def updating_twice(discriminator: nn.Module) -> Iterator[None]:
    """A training pass changes the running statistics of every BatchNorm as two passes over the same images would."""
    before = [(module, module.momentum) for module in discriminator.modules()
              if isinstance(module, _BatchNorm) and module.momentum is not None]
    for module, momentum in before:
        module.momentum = 1 - (1 - momentum)**2
    try:
        yield
    finally:
        for module, momentum in before:
            module.momentum = momentum
            if module.num_batches_tracked is not None:
                module.num_batches_tracked += 1


def adversarial(scores: Tensor, real: bool) -> Tensor:
    """Least-squares GAN: the mean squared error of the scores (N, 1) against 1 for real, 0 for fake."""
    return F.mse_loss(scores, torch.full_like(scores, float(real)))


@MODELS.register_module()
class SALoss(nn.Module):
    """Semantic-guided adversarial loss (SKF, Eq. 11 to 14), for both the discriminator D and the generator.

    Local: the candidates are the class regions of the output, without their boundaries; the one that D finds least realistic
    is the fake patch (Eq. 12), and random crops of the ground truth are the real patches. Global: whole images concatenated
    with the class scores of the prior (Eq. 13), fake and real alike. D learns real -> 1 and fake -> 0, the generator fake -> 1.

    D belongs to the caller, has an optimizer of its own and is passed in training mode: its BatchNorm normalizes the real and
    the fake batch separately, as released. Its running statistics track only what D trains on:

    - Ranking scores the candidates of all samples in one batch with D in eval mode, so that the score of a region depends
      neither on the other candidates nor on their number, and D does not change.
    - The generator's pass uses batch statistics, like D's own, but leaves running statistics, parameters and their ``.grad``
      untouched.

    A sample without a region of ``min_pixels`` has no local term. If a whole batch has none, the local term is a zero that
    still depends on each parameter of D (in its pass) or on the output (in the generator's), so that DistributedDataParallel
    does not wait for gradients that never come. A SyncBatchNorm in D would wait, though: keep D's BatchNorm local.

    ``variant='classic'`` is the global and local loss without semantics that the paper compares with (Table 4, 'w/o S'), after
    EnlightenGAN (Jiang et al., TIP 2021): fake patches are random crops as well, one per sample and pass, and D sees whole
    images without class scores. There is no prior, D needs no stem for one (``num_classes=0``), and ``max_regions``,
    ``edge_width``, ``min_pixels`` and ``real_mask`` have no effect. Everything else is as above, to keep the two comparable:
    EnlightenGAN itself has two discriminators, a relativistic global term and five patches per image.

    ``variant='official'`` reproduces the released code of DRBN-SKF, quirks included, and uses ``loss_weight`` only:

    - Both local terms mask the whole image with the softmax map of the class with the second-largest soft area. The largest
      class was meant to be tried too, and the worse of the two to be chosen, but both masks are the same tensor object.
      Boundaries are not removed, nothing is cropped, and the real image gets the mask of the fake one.
    - D's local terms are weighted by 0.1, its global terms by 0.9, and D sees no semantics: its second stem is never trained.
    - The generator has only a global term, on the output concatenated with the *softmax* map, through the untrained stem.
    - D's loss is not detached from the output and the map. The released trainer retains this graph, and clears the gradients
      it leaves in the generator before the generator's own backward pass: a caller that passes ``pred.detach()`` and a prior
      of ``logits.detach()`` trains the same network without either step.

    Args:
        variant (str): 'paper', 'classic' or 'official'.
        patch_size (int): Side of the local patches, real and fake, in pixels; 32 or more (D needs 2x2 in its last feature map).
        max_regions (int): Candidates per sample: its largest class regions without boundaries.
        edge_width (int): Width of the boundary removed from a region, see :func:`inside_regions`.
        min_pixels (int): Minimum size of a candidate without its boundary: smaller ones would be mostly interpolation when
            resized to a patch.
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
        """Whether the loss needs a prior."""
        return self.variant != 'classic'

    def discriminator_loss(self, discriminator: nn.Module, pred: Tensor, gt: Tensor,
                           prior: SemanticPrior | None = None) -> dict[str, Tensor]:
        """The loss of the discriminator.

        Args:
            discriminator (nn.Module): D: (N, 3, H, W) or (N, 3 + classes, H, W) -> (N, 1) in [0, 1].
            pred (Tensor): Enhanced images, (N, 3, H, W), about [0, 1]. Detached here (except by the official variant).
            gt (Tensor): Ground truth, (N, 3, H, W) in [0, 1]. If a side is shorter than the patch, the crop is enlarged.
            prior (SemanticPrior, optional): Its logits have the size of the images. Detached here like ``pred``. Ignored by
                the classic variant.

        Returns:
            dict[str, Tensor]: 'loss_D_local' and 'loss_D_global'.

        Raises:
            ValueError: If images and logits differ in size, or the prior is missing and the variant needs one.
        """
        prior = self._checked(pred, gt, prior)
        if self.variant == 'official':
            assert prior is not None
            return self._official_discriminator_loss(discriminator, pred, gt, prior)
        pred, prior = pred.detach(), None if prior is None else prior.detach()
        targets = self._target_regions(discriminator, pred, prior)
        if targets:
            local = (adversarial(discriminator(self._real_patches(gt, targets)), True)
                     + adversarial(discriminator(self._patches(pred, targets)), False))
        else:
            local = torch.stack([(parameter * 0).sum() for parameter in discriminator.parameters()]).sum()
        return dict(
            loss_D_local=local,
            loss_D_global=adversarial(discriminator(self._whole(gt, prior)), True)
            + adversarial(discriminator(self._whole(pred, prior)), False))

    def generator_loss(self, discriminator: nn.Module, pred: Tensor, gt: Tensor,
                       prior: SemanticPrior | None = None) -> dict[str, Tensor]:
        """The loss of the generator. Gradients reach ``pred``, and the logits if they carry a graph, but not D.

        Args:
            discriminator, pred, gt, prior: As in :meth:`discriminator_loss`. Only the size of ``gt`` is checked.

        Returns:
            dict[str, Tensor]: 'loss_SA_local' (not in the official variant) and 'loss_SA_global', weighted.

        Raises:
            ValueError: If images and logits differ in size, or the prior is missing and the variant needs one.
        """
        prior = self._checked(pred, gt, prior)
        with temporarily(discriminator.parameters(), 'requires_grad', False):
            if self.variant == 'official':
                assert prior is not None
                # The softmax map, though D was meant to see the logits. D's running statistics change, but nothing reads them.
                scores = discriminator(torch.cat((pred, prior.probs), dim=1))
                return dict(loss_SA_global=self.loss_weight * adversarial(scores, True))
            targets = self._target_regions(discriminator, pred, prior)
            batch_norms = [module for module in discriminator.modules() if isinstance(module, _BatchNorm)]
            with temporarily(batch_norms, 'track_running_stats', False):
                local = adversarial(discriminator(self._patches(pred, targets)), True) if targets else (pred * 0).sum()
                whole = adversarial(discriminator(self._whole(pred, prior)), True)
        return dict(loss_SA_local=self.loss_weight * local, loss_SA_global=self.loss_weight * whole)

    @staticmethod
    def _official_discriminator_loss(discriminator: nn.Module, pred: Tensor, gt: Tensor,
                                     prior: SemanticPrior) -> dict[str, Tensor]:
        """The released loss of D; its BatchNorms see four batches in this order, the last two twice."""
        second = prior.probs.sum(dim=(2, 3)).topk(2, dim=1).indices[:, 1]
        mask = prior.probs[torch.arange(len(second), device=second.device), second].unsqueeze(1)
        whole = adversarial(discriminator(pred), False) + adversarial(discriminator(gt), True)
        local = []
        for image, real in ((pred * mask, False), (gt * mask, True)):
            # The two masks are the same tensor, and so are their losses; the second pass only updates the running statistics.
            with updating_twice(discriminator):
                local.append(adversarial(discriminator(image), real))
        return dict(loss_D_local=0.1 * (local[0] + local[1]) / 2, loss_D_global=0.9 * whole / 2)

    @staticmethod
    def _whole(image: Tensor, prior: SemanticPrior | None) -> Tensor:
        """What D sees of a whole image (Eq. 13)."""
        return image if prior is None else torch.cat((image, prior.scores), dim=1)

    def _target_regions(self, discriminator: nn.Module, pred: Tensor, prior: SemanticPrior | None) -> list[Region]:
        """Eq. 12: of each sample's candidates the one that D scores lowest; samples without candidates are skipped.

        Without semantics, a random crop of each sample.
        """
        if prior is None:
            return [self._random_crop(pred, sample) for sample in range(len(pred))]
        candidates = self._candidates(prior.labels)
        if not candidates:
            return []
        with without_gradient(discriminator), temporarily(discriminator.modules(), 'training', False):
            scores = discriminator(self._patches(pred, candidates)).flatten().tolist()
        worst: dict[int, Region] = {}
        for _, region in sorted(zip(scores, candidates), key=lambda scored: scored[0]):
            worst.setdefault(region.sample, region)
        return [worst[sample] for sample in sorted(worst)]

    def _candidates(self, labels: Tensor) -> list[Region]:
        """The largest class regions of all samples, without their boundaries; labels (N, H, W)."""
        from torchvision.ops import masks_to_boxes  # whose import takes a second: only training needs it
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

    def _patches(self, images: Tensor, regions: Sequence[Region]) -> Tensor:
        """Masked regions, cropped to their boxes and resized: (len(regions), 3, patch_size, patch_size)."""
        return torch.cat([self._resize(images[region.sample, :, region.rows, region.columns] * region.mask)
                          for region in regions])

    def _real_patches(self, gt: Tensor, fakes: Sequence[Region]) -> Tensor:
        """A random crop of the ground truth for each fake: (len(fakes), 3, patch_size, patch_size)."""
        patches = self._patches(gt, [self._random_crop(gt, fake.sample) for fake in fakes])
        if self.real_mask and self.semantic:
            patches = patches * torch.cat([self._resize(fake.mask) for fake in fakes])
        return patches

    def _random_crop(self, images: Tensor, sample: int) -> Region:
        """A random crop of an image, of patch size or as large as the image allows; nothing is masked."""
        from torchvision.transforms import RandomCrop
        size = [min(self.patch_size, side) for side in images.shape[-2:]]
        top, left, height, width = RandomCrop.get_params(images[sample], size)
        mask = torch.ones((1, height, width), dtype=torch.bool, device=images.device)
        return Region(sample, slice(top, top + height), slice(left, left + width), mask)

    def _resize(self, image: Tensor) -> Tensor:
        """(C, H, W) -> (1, C, patch_size, patch_size). Antialiased, so gradients reach all pixels of a large region."""
        # At least float32: masks are bool, and the CPU has no such kernel for half precision.
        image = image[None].to(torch.promote_types(image.dtype, torch.float32))
        return F.interpolate(image, (self.patch_size, self.patch_size), mode='bilinear', antialias=True)

    def _checked(self, pred: Tensor, gt: Tensor, prior: SemanticPrior | None) -> SemanticPrior | None:
        """The prior that the variant uses: None for the classic one, and only for that one."""
        if not self.semantic:
            prior = None
        elif prior is None:
            raise ValueError(f'SALoss(variant={self.variant!r}) needs the semantic prior of the images; only the classic '
                             'variant has none')
        if pred.shape != gt.shape or (prior is not None and pred.shape[-2:] != prior.scores.shape[-2:]):
            scores = 'no class scores' if prior is None else f'class scores of {tuple(prior.scores.shape)}'
            raise ValueError(f'SALoss got an output of shape {tuple(pred.shape)}, a ground truth of {tuple(gt.shape)} and '
                             f'{scores}: the images must have the same shape, and the logits of the prior their size')
        return prior
