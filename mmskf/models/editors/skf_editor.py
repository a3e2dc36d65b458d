from typing import Any

import torch
from mmengine.logging import MessageHub
from torch import Tensor, nn

from mmskf.models.losses import SALoss, SCHLoss
from mmskf.models.se_modules import SEModuleList
from mmskf.models.skb import KnowledgeBank
from mmskf.registry import MODELS
from mmskf.structures import DataSample, Prior, SemanticPrior, take_prior

from .enhancement_editor import EnhancementEditor, Outputs, full_size
from .skf_checks import check_cacheable, check_parts, check_two_optimizers


class Priors:
    """The priors of the images of one step: the knowledge bank sees each of them once, when first requested.

    Args:
        bank (KnowledgeBank, optional): None if no prior is requested.
        logits (bool): Whether something reads the class scores; without them a bank need not compute its head.
        cached (SemanticPrior, optional): The prior of 'lq', if it is known already. Defaults to None.
        **images (Tensor): 'lq', 'gt' or 'pred' -> (N, 3, H, W), RGB in [0, 1].
    """

    def __init__(self, bank: KnowledgeBank | None, logits: bool, cached: SemanticPrior | None = None, **images: Tensor):
        self.bank, self.logits, self.images = bank, logits, images
        self._known = {} if cached is None else dict(lq=cached)

    def of(self, name: str) -> SemanticPrior:
        """The prior of an image."""
        if name not in self._known:
            self._known[name] = self.of_image(self.images[name])
        return self._known[name]

    def of_image(self, image: Tensor) -> SemanticPrior:
        """The prior of an image (N, 3, H, W) that is made during the step."""
        assert self.bank is not None  # what needs a prior needs a bank: see check_parts
        return self.bank(image) if self.logits else self.bank(image, logits=False)


@MODELS.register_module()
class SKFEditor(EnhancementEditor):
    """Semantic-aware knowledge guidance (SKF, Fig. 2) around an enhancement network.

    Without ``skb`` it is the plain baseline, or the baseline with losses that use no semantics. With it, the frozen knowledge
    bank extracts a prior M (Eq. 1), the generator's SE modules embed it (Eq. 2, 4, 5), and the SCH and SA losses use it:
    L = L_recon + L_SCH + L_SA, each weighted (Eq. 15).

    The specifics of a method go into a subclass, which overrides :meth:`generate` (how the generator is called),
    :meth:`compared` (what SCH compares), :attr:`guided` (when SKF acts) or :attr:`recon_loss` (what L_recon is).

    Args:
        generator (dict): The enhancement network, an :class:`EnhancementNet`; ``se`` configures its SE modules (see
            :class:`SEModuleList`).
        recon_loss (dict): The baseline's own loss, L_recon, of the generator's outputs and the ground truth. It returns a
            scalar, or a dict: 'loss_recon' and terms for the log, without 'loss' in their names. With an attribute ``needs_gt``
            that is False it is also used for training images without ground truth.
        skb (dict, optional): Config of a :class:`KnowledgeBank`, such as the :class:`SemanticKnowledgeBank`. Defaults to None.
        sch_loss (dict, optional): Config of the :class:`SCHLoss`. Defaults to None.
        sa_loss (dict, optional): Config of the :class:`SALoss`; training then takes two optimizers, ``generator`` and
            ``discriminator``. Defaults to None.
        discriminator (dict, optional): Config of D, needed with ``sa_loss``. Defaults to None.
        se_input (str): The image whose prior the SE modules get. 'pred': the generator requests the prior of an image of its own
            (DRBN; RetinexNet, KinD and KinD++: the reflectance). 'gt': in training the ground truth, in testing the low-light
            image. Defaults to 'lq'.
        loss_input (str): The image whose prior the losses get: 'lq', 'pred' or 'gt'. Defaults to 'lq'.
        test_passes (int): 2 enhances twice in testing, the second time with the prior of the first result. Defaults to 1.
        sch_interval (int): Interval of the SCH loss in iterations; 50: in the 50th, the 100th, ... Defaults to 1.
        **kwargs: See :class:`EnhancementEditor`.

    Raises:
        TypeError: If the generator is not an :class:`EnhancementNet`.
        ValueError: If a part of SKF is configured without its prerequisites, or a choice is unknown.
    """

    needs_labels = False  # Whether the method's own loss needs the label maps of the knowledge bank, as ISSR's does.
    uses_prior_cache = False  # Whether training images come with their priors, see use_prior_cache().
    skb: KnowledgeBank | None
    sch_loss: SCHLoss | None
    sa_loss: SALoss | None
    discriminator: nn.Module | None

    def __init__(self,
                 generator: dict,
                 recon_loss: dict,
                 skb: dict | None = None,
                 sch_loss: dict | None = None,
                 sa_loss: dict | None = None,
                 discriminator: dict | None = None,
                 se_input: str = 'lq',
                 loss_input: str = 'lq',
                 test_passes: int = 1,
                 sch_interval: int = 1,
                 **kwargs: Any):

        def build(cfg: dict | None, **known: Any) -> Any:
            return MODELS.build(dict(cfg, **known, _scope_='mmskf')) if cfg else None

        # Building the bank must not affect the random state: with the same seed, the generator gets the same initial weights
        # whether there is a bank or not.
        with torch.random.fork_rng(devices=[]):
            bank = build(skb)
        if generator.get('se') and bank:
            generator = dict(generator, se=dict(generator['se'], semantic_channels=bank.channels, semantic_strides=bank.strides))
        super().__init__(generator, recon_loss, **kwargs)
        self.skb = bank
        self.sch_loss = build(sch_loss, num_classes=bank.num_classes if bank else 0)
        self.sa_loss = build(sa_loss)
        semantic_d = bank and self.sa_loss and self.sa_loss.semantic
        self.discriminator = build(discriminator, num_classes=bank.num_classes if semantic_d else 0)
        self.se_input, self.loss_input = se_input, loss_input
        self.test_passes, self.sch_interval = test_passes, sch_interval
        # The parts of SKF that need a prior; data-parallel wrappers hide the generator's attributes later.
        self.has_se = bool(self.generator.se_modules)
        self.se_reads_logits = any('logits' in modules.sources for modules in self.generator.modules()
                                   if isinstance(modules, SEModuleList))
        self.semantic_losses = [name for name in ('sch_loss', 'sa_loss')
                                if getattr(self, name) is not None and getattr(self, name).semantic]
        check_parts(self, told_se=bool(generator.get('se')))

    @property
    def reads_logits(self) -> bool:
        """Whether training needs the class scores of the knowledge bank, not only its features."""
        return self.se_reads_logits or bool(self.semantic_losses)

    def load_bank(self, training: bool) -> None:
        """Loads the knowledge bank's weights, if they are needed and have not been loaded yet.

        Args:
            training (bool): Whether the losses need them as well, not only the SE modules.

        Raises:
            RuntimeError: If they cannot be read or do not match the bank's network.
        """
        if self.skb is not None and not self.skb.loaded and (training or self.has_se):
            self.skb.load()

    @property
    def guided(self) -> bool:
        """Whether SKF acts in this iteration: always, except for methods that are trained in stages."""
        return True

    @property
    def recon_loss(self) -> nn.Module:
        """The baseline's own loss in this iteration."""
        return self.pixel_loss

    def target(self, data_samples: DataSample) -> Tensor | None:
        """The ground truth of a training batch (N, 3, H, W) in [0, 1]; None if there is none and nothing needs it.

        Raises:
            ValueError: If something needs it.
        """
        gt = data_samples.get('gt_img')
        users = dict(recon_loss=getattr(self.recon_loss, 'needs_gt', True), sch_loss=self.sch_loss, sa_loss=self.sa_loss,
                     se_input=self.se_input == 'gt', loss_input=self.loss_input == 'gt')
        needs = [f'model.{name}' for name, needs_it in users.items() if needs_it]
        if gt is None and needs:
            raise ValueError(f'The training images have no ground truth, but {" and ".join(needs)} of this config needs one: add '
                             'its folder as "gt" to data_prefix of the training data set, and load it in the pipeline')
        return gt

    def compared(self, outputs: Outputs, gt: Tensor) -> tuple[Tensor, Tensor]:
        """The two images whose histograms SCH compares: the enhanced one and the ground truth."""
        return full_size(outputs), gt

    def se_prior(self, priors: Priors, name: str) -> Prior:
        """What the SE modules get: the prior of the named image, or the way to one if the generator makes the image itself."""
        if not self.has_se:
            return None
        return priors.of_image if self.se_input == 'pred' else priors.of(name)

    def use_prior_cache(self) -> None:
        """From now on, training images come with their priors.

        Raises:
            ValueError: If the knowledge bank sees anything but these images in training.
        """
        check_cacheable(self)
        self.uses_prior_cache = True

    def cached_prior(self, data_samples: DataSample) -> SemanticPrior | None:
        """The prior of the low-light images of a training batch, if they come with it (:class:`PriorCacheHook`)."""
        if not (self.uses_prior_cache and self.guided):
            return None
        assert self.skb is not None  # or there would be nothing to cache
        layout = torch.channels_last if self.skb.channels_last else torch.contiguous_format
        return SemanticPrior.of_maps({name: value.float().contiguous(memory_format=layout)
                                      for name, value in take_prior(data_samples).maps.items()})

    def reconstruct(self, lq: Tensor, gt: Tensor | None,
                    cached: SemanticPrior | None = None) -> tuple[Outputs, SemanticPrior | None]:
        """One forward pass of training: the generator's outputs and the prior for the losses.

        Args:
            lq (Tensor): Low-light images (N, input_channels, H, W).
            gt (Tensor, optional): Ground truth (N, 3, H, W) in [0, 1].
            cached (SemanticPrior, optional): The prior of the low-light images, if it is known already. Defaults to None.

        Raises:
            ValueError: If the crops have a size that the generator does not take.
        """
        if any(side % self.size_divisor for side in lq.shape[-2:]):
            raise ValueError(f'The training crops are {lq.shape[-1]}x{lq.shape[-2]}, but this generator takes multiples of '
                             f'{self.size_divisor}: change crop_size of RandomCrop in the training pipeline')
        priors = Priors(self.skb, self.reads_logits, cached, lq=lq[:, :3], **({} if gt is None else dict(gt=gt)))
        outputs = self.generate(lq, self.se_prior(priors, self.se_input) if self.guided else None, gt)
        priors.images['pred'] = full_size(outputs)
        return outputs, priors.of(self.loss_input) if self.guided and self.semantic_losses else None

    def losses(self, outputs: Outputs, gt: Tensor | None, prior: SemanticPrior | None) -> dict[str, Tensor]:
        """The loss terms of the generator (Eq. 15), named as in the paper, and the terms that L_recon logs."""
        recon = self.recon_loss(outputs, gt)
        losses = dict(recon) if isinstance(recon, dict) else dict(loss_recon=recon)
        if not self.guided or gt is None:
            return losses
        iteration = MessageHub.get_current_instance().get_info('iter', 0) + 1
        if self.sch_loss and iteration % self.sch_interval == 0:
            losses['loss_SCH'] = self.sch_loss(*self.compared(outputs, gt), prior and prior.labels)
        if self.sa_loss and self.discriminator:
            losses.update(self.sa_loss.generator_loss(self.discriminator, full_size(outputs), gt, prior))
        return losses

    def forward_train(self, inputs: Tensor, data_samples: DataSample, **kwargs: Any) -> dict[str, Tensor]:
        """The generator's loss terms for low-light images (N, 3, H, W) and their :meth:`target`."""
        gt = self.target(data_samples)
        outputs, prior = self.reconstruct(inputs, gt, self.cached_prior(data_samples))
        return self.losses(outputs, gt, prior)

    def train_step(self, data: dict, optim_wrapper: Any) -> dict[str, Tensor]:
        """One iteration; with the SA loss a step of D on the current images, then one of the generator."""
        if self.sa_loss is None or self.discriminator is None:
            return super().train_step(data, optim_wrapper)
        check_two_optimizers(optim_wrapper)
        if not self.guided:
            return super().train_step(data, optim_wrapper['generator'])
        data = self.data_preprocessor(data, training=True)
        gt = self.target(data['data_samples'])
        assert gt is not None  # sa_loss needs it
        with optim_wrapper['generator'].optim_context(self.generator):
            outputs, prior = self.reconstruct(data['inputs'], gt, self.cached_prior(data['data_samples']))
        with optim_wrapper['discriminator'].optim_context(self.discriminator):
            losses = self.sa_loss.discriminator_loss(
                self.discriminator, full_size(outputs).detach(), gt, prior and prior.detach())
        loss_d, logs_d = self.parse_losses(losses)
        optim_wrapper['discriminator'].update_params(loss_d)
        with optim_wrapper['generator'].optim_context(self.generator):
            losses = self.losses(outputs, gt, prior)
        loss, logs = self.parse_losses(losses)
        optim_wrapper['generator'].update_params(loss)
        return {**logs, **{key: value for key, value in logs_d.items() if key != 'loss'}}

    def test_prior(self, inputs: Tensor, gt: Tensor | None = None) -> Prior:
        """What the SE modules get in testing; with ``test_passes=2`` the prior of a first result."""
        priors = Priors(self.skb, self.se_reads_logits, lq=inputs[:, :3])
        prior = self.se_prior(priors, 'lq')
        if self.test_passes == 2:
            priors.images['pred'] = full_size(self.generate(inputs, prior, gt))
            prior = priors.of('pred')
        return prior
