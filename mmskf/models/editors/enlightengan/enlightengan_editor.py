from typing import Any

import torch
from torch import Tensor

from mmskf.models.losses import GlobalLocalGANLoss
from mmskf.registry import MODELS
from mmskf.structures import Prior, SemanticPrior, WindowedOutputs

from ..enhancement_editor import Outputs
from ..skf_checks import check_two_optimizers
from ..skf_editor import SKFEditor


def dim(images: Tensor, probability: float) -> Tensor:
    """Divides some images of a batch (N, 3, H, W) by a random number: 2.00, 2.01, ... or 4.00, one per image."""
    shape = (len(images), 1, 1, 1)
    chosen = torch.rand(shape, device=images.device) < probability
    return torch.where(chosen, images / (torch.randint(200, 401, shape, device=images.device) / 100), images)


@MODELS.register_module()
class EnlightenGANEditor(SKFEditor):
    """Trains and tests EnlightenGAN (Jiang et al., TIP 2021), which is trained without pairs.

    In training the 'ground truth' is a normal-light image of another scene: what the discriminators take as real
    (:class:`UnpairedDataset`). ``recon_loss`` compares the enhanced image with the low-light image. First the generator makes a
    step, then the discriminators on the same images.

    Args:
        generator (dict): The enhancement network.
        recon_loss (dict): Config of the :class:`SelfFeatureLoss`.
        adversarial_loss (dict): Config of the :class:`GlobalLocalGANLoss`.
        discriminator (dict): Config of the :class:`GlobalLocalDiscriminator`.
        dim_probability (float): Fraction of the training images that the generator gets darker than they are, see :func:`dim`.
            Defaults to 0.5.
        **kwargs: As in :class:`SKFEditor`, but ``sch_loss`` and ``sa_loss``.

    Raises:
        ValueError: If there is an SCH or SA loss, which need the ground truth of the low-light image.
    """

    def __init__(self, generator: dict, recon_loss: dict, adversarial_loss: dict, discriminator: dict,
                 dim_probability: float = 0.5, **kwargs: Any):
        if kwargs.get('sch_loss') or kwargs.get('sa_loss'):
            raise ValueError('sch_loss and sa_loss need the ground truth of the low-light image, but EnlightenGAN is trained '
                             'without pairs: set both to None')
        super().__init__(generator, recon_loss, **kwargs)
        self.adversarial_loss: GlobalLocalGANLoss = MODELS.build(adversarial_loss)
        self.discriminator = MODELS.build(discriminator)
        self.dim_probability = dim_probability

    def generate(self, inputs: Tensor, prior: Prior, gt: Tensor | None = None, **maps: Tensor) -> Outputs:
        """The enhanced images; in training with what the losses look at besides."""
        if not self.training:
            return self.generator(inputs, prior, **maps)
        image = self.generator(dim(inputs, self.dim_probability), prior)
        return WindowedOutputs(image, inputs, self.adversarial_loss.windows(image))

    def losses(self, outputs: Outputs, gt: Tensor | None, prior: SemanticPrior | None) -> dict[str, Tensor]:
        """The loss terms of the generator."""
        assert isinstance(outputs, WindowedOutputs) and self.discriminator is not None and gt is not None
        return {**super().losses(outputs, gt, prior), **self.adversarial_loss.generator_loss(self.discriminator, outputs, gt)}

    def train_step(self, data: dict, optim_wrapper: Any) -> dict[str, Tensor]:
        """One iteration: a step of the generator, then one of the discriminators on the images from before that step."""
        check_two_optimizers(optim_wrapper)
        assert self.discriminator is not None
        data = self.data_preprocessor(data, training=True)
        gt = self.target(data['data_samples'])
        assert gt is not None  # recon_loss needs it
        with optim_wrapper['generator'].optim_context(self.generator):
            outputs, prior = self.reconstruct(data['inputs'], gt, self.cached_prior(data['data_samples']))
            assert isinstance(outputs, WindowedOutputs)
            losses = self.losses(outputs, gt, prior)
        loss, logs = self.parse_losses(losses)
        optim_wrapper['generator'].update_params(loss)
        with optim_wrapper['discriminator'].optim_context(self.discriminator):
            losses = self.adversarial_loss.discriminator_loss(self.discriminator, outputs, gt)
        loss, logs_d = self.parse_losses(losses)
        optim_wrapper['discriminator'].update_params(loss)
        return {**logs, **{key: value for key, value in logs_d.items() if key != 'loss'}}
