from typing import Dict, List, Optional, Tuple, Union

import torch
import torch.nn.functional as F
from mmagic.models.base_models import BaseEditModel
from mmagic.structures import DataSample
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapperDict
from mmengine.runner.checkpoint import get_state_dict
from torch import Tensor, nn

from mmskf.registry import MODELS
from mmskf.structures import SemanticPrior

Outputs = Union[Tensor, Tuple[Tensor, ...]]
PRIOR_INPUTS = ('lq', 'pred', 'gt')


def full_size(outputs: Outputs) -> Tensor:
    """The enhanced image of what a generator returns: the tensor, or the first of several."""
    return outputs[0] if isinstance(outputs, (tuple, list)) else outputs


def pad_to_multiple(image: Tensor, divisor: int) -> Tensor:
    """Pads (N, C, H, W) at the right and the bottom, mirrored where the image is large enough, to multiples of ``divisor``."""
    for axis in (-1, -2):
        size = image.shape[axis]
        missing = -size % divisor
        if missing:
            padding = (0, missing, 0, 0) if axis == -1 else (0, 0, 0, missing)
            image = F.pad(image, padding, 'reflect' if missing < size else 'replicate')
    return image


def check_finite(images: Tensor, data_samples: Optional[DataSample]):
    """Refuses outputs (N, 3, H, W) that would be saved as black pixels and scored as if they were an image.

    Raises:
        FloatingPointError: Names the image.
    """
    bad = (~images.isfinite()).flatten(1).sum(dim=1)
    if not bad.any():
        return
    number = int(bad.nonzero()[0])
    sample = None if data_samples is None else data_samples.split()[number]
    name = f'number {number} of its batch' if sample is None else sample.get('img_path') or sample.get('key')
    raise FloatingPointError(f'The output of the network for the image {name} is NaN or infinite in {int(bad[number])} of '
                             f'{images[number].numel()} values: its weights are broken, or half precision is not enough for it '
                             '(leave --amp out)')


def asks_bank(loss: Optional[dict]) -> bool:
    """Whether a configured loss needs a prior: all but those without semantics that the paper compares with (Table 4)."""
    return bool(loss) and loss.get('semantic', True) and loss.get('variant') != 'classic'


@MODELS.register_module()
class SKFEditor(BaseEditModel):
    """Semantic-aware knowledge guidance (SKF, Fig. 2) around an enhancement network.

    Without ``skb`` it is the plain baseline, or the baseline with losses that know no semantics. With it, the frozen
    knowledge bank yields a prior M (Eq. 1), the generator's SE modules embed it (Eq. 2, 4, 5), and the SCH and SA losses use
    it: L = L_recon + L_SCH + L_SA, each with its weight (Eq. 15).

    Images are (N, 3, H, W), RGB in [0, 1]; a method whose pipeline adds further channels to its input has them behind these
    three. What is particular to a method goes into a subclass, which overrides :meth:`generate` (how the generator is
    called), :meth:`compared` (what SCH compares), :attr:`guided` (when SKF acts) or :attr:`recon_loss` (what L_recon is).

    Args:
        generator (dict): The enhancement network. Its attribute ``size_divisor`` says which sizes it takes; ``se`` configures
            its SE modules (see :class:`SEModuleList`). ``early_image`` says that it makes an image of its own before these, and
            that they may get the prior of that.
        recon_loss (dict): The baseline's own loss, L_recon, of the generator's outputs and the ground truth. It yields a
            scalar, or a dict: 'loss_recon' and terms for the log, without 'loss' in their names.
        skb (dict, optional): Config of the :class:`SemanticKnowledgeBank`. Defaults to None.
        sch_loss (dict, optional): Config of the :class:`SCHLoss`. Defaults to None.
        sa_loss (dict, optional): Config of the :class:`SALoss`; training then takes two optimizers, ``generator`` and
            ``discriminator``. Defaults to None.
        discriminator (dict, optional): Config of D, needed with ``sa_loss``. Defaults to None.
        se_input (str): The image whose prior the SE modules get. 'pred': the generator asks for the prior of an image of its
            own (DRBN; RetinexNet, KinD and KinD++: the reflectance). 'gt': in training the ground truth, in testing the
            low-light image. Defaults to 'lq'.
        loss_input (str): The image whose prior the losses get: 'lq', 'pred' or 'gt'. Defaults to 'lq'.
        test_passes (int): 2 enhances twice in testing, the second time with the prior of the first result. Defaults to 1.
        sch_interval (int): The SCH loss acts in every so many iterations. Defaults to 1.
        data_preprocessor (dict, optional): Config of ``mmagic.DataPreprocessor``.
        train_cfg (dict, optional): As in ``BaseEditModel``; unused.
        test_cfg (dict, optional): ``tta=True`` averages the image over its four flips; a subclass names what
            else it takes in ``test_options``. Defaults to None.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Raises:
        ValueError: If a part of SKF is configured without what it needs, or a choice does not exist.
    """

    test_options = ('tta', )
    input_channels = 3  # More where the pipeline of a method adds some.
    test_uses_gt = False  # Testing looks at the ground truth: what it scores is no fair figure, and is marked as such,
    gt_note = 'output made with the ground truth'  # by these words, in the name of every score.
    gt_advice = 'choose a setting that needs none'  # For whoever has no ground truth.

    def __init__(self,
                 generator: dict,
                 recon_loss: dict,
                 skb: Optional[dict] = None,
                 sch_loss: Optional[dict] = None,
                 sa_loss: Optional[dict] = None,
                 discriminator: Optional[dict] = None,
                 se_input: str = 'lq',
                 loss_input: str = 'lq',
                 test_passes: int = 1,
                 sch_interval: int = 1,
                 data_preprocessor: Optional[dict] = None,
                 train_cfg: Optional[dict] = None,
                 test_cfg: Optional[dict] = None,
                 init_cfg: Optional[dict] = None):
        for name, value in (('se_input', se_input), ('loss_input', loss_input)):
            if value not in PRIOR_INPUTS:
                raise ValueError(f'{name}={value!r}: choose from {PRIOR_INPUTS}')
        if test_passes not in (1, 2):
            raise ValueError(f'test_passes={test_passes!r}: choose 1 or 2')
        if sch_interval < 1:
            raise ValueError(f'sch_interval={sch_interval!r}: choose 1 (every iteration) or more')
        unknown = sorted(set(test_cfg or {}) - set(self.test_options))
        if unknown:
            raise ValueError(f'model.test_cfg has {" and ".join(unknown)}, which {type(self).__name__} does not take: '
                             f'choose from {", ".join(self.test_options)}')
        guided = {'sch_loss': asks_bank(sch_loss), 'sa_loss': asks_bank(sa_loss), 'generator.se': generator.get('se')}
        semantic_losses = guided['sch_loss'] or guided['sa_loss']
        needing = [name for name, value in guided.items() if value]
        if skb and not needing:
            raise ValueError('There is a semantic knowledge bank, but nothing that asks it: set generator.se, sch_loss or '
                             'sa_loss, or start from one of configs/_base_/models/*_skf.py')
        unused = [name for name, changed, user in (
            ('se_input', se_input != 'lq', generator.get('se')), ('test_passes', test_passes != 1, generator.get('se')),
            ('loss_input', loss_input != 'lq', semantic_losses), ('sch_interval', sch_interval != 1, sch_loss))
            if changed and not user]
        if unused:
            raise ValueError(f'{" and ".join(unused)} would act on a part of SKF that is not configured: se_input and '
                             'test_passes need generator.se, loss_input needs sch_loss or sa_loss, sch_interval needs sch_loss')
        if needing and not skb:
            raise ValueError(f'{" and ".join(needing)} needs a semantic knowledge bank: add one of configs/skb to _base_, '
                             'or set model.skb')
        if bool(sa_loss) != bool(discriminator):
            raise ValueError('sa_loss and discriminator go together: one of them is missing in the model config')

        # Random numbers that the bank draws before it reads its checkpoint must not count: from one seed, a generator starts with
        # the same weights whether there is a bank or not.
        with torch.random.fork_rng(devices=[]):
            skb = MODELS.build(dict(skb, _scope_='mmskf')) if skb else None
        if generator.get('se'):
            generator = dict(generator, se=dict(generator['se'], semantic_channels=skb.channels))
        super().__init__(
            generator=dict(generator, _scope_='mmskf'),
            pixel_loss=dict(recon_loss, _scope_='mmskf'),
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
            data_preprocessor=data_preprocessor)

        def build(cfg, **known):
            return MODELS.build(dict(cfg, **known, _scope_='mmskf')) if cfg else None

        self.skb, self.semantic_losses = skb, semantic_losses
        self.sch_loss = build(sch_loss, num_classes=skb.num_classes if guided['sch_loss'] else None)
        self.sa_loss = build(sa_loss)
        self.discriminator = build(discriminator, num_classes=skb.num_classes if guided['sa_loss'] else 0)
        self.se_input, self.loss_input = se_input, loss_input
        self.test_passes, self.sch_interval = test_passes, sch_interval
        # Read here, since data parallel wrappers hide the generator's attributes.
        self.size_divisor = self.generator.size_divisor
        self.guided_generator = bool(generator.get('se'))
        if se_input == 'pred' and not getattr(self.generator, 'early_image', False):
            raise ValueError(f"se_input='pred': {type(self.generator).__name__} makes no image before its SE modules whose "
                             "prior these could get: set se_input='lq', and test_passes=2 for the prior of the result")

    @property
    def guided(self) -> bool:
        """Whether SKF acts in this iteration: always, but for methods that are trained in stages."""
        return True

    @property
    def recon_loss(self) -> nn.Module:
        """The baseline's own loss in this iteration."""
        return self.pixel_loss

    def generate(self, inputs: Tensor, prior, gt: Optional[Tensor] = None) -> Outputs:
        """Calls the generator.

        Args:
            inputs (Tensor): Low-light images (N, 3 or more, H, W), of a size that the generator takes.
            prior (SemanticPrior or callable, optional): For its SE modules.
            gt (Tensor, optional): Ground truth (N, 3, H, W) in training; in testing only where ``test_uses_gt`` is set.

        Returns:
            Tensor or tuple: What ``recon_loss`` takes.
        """
        return self.generator(inputs, prior)

    def compared(self, outputs: Outputs, gt: Tensor) -> Tuple[Tensor, Tensor]:
        """The two images whose histograms SCH compares: the enhanced one and the ground truth."""
        return full_size(outputs), gt

    def reconstruct(self, lq: Tensor, gt: Tensor) -> Tuple[Outputs, Optional[SemanticPrior]]:
        """One forward pass of training: the generator's outputs and the prior for the losses.

        Args:
            lq (Tensor): Low-light images (N, 3 or more, H, W).
            gt (Tensor): Ground truth (N, 3, H, W) in [0, 1].

        Raises:
            ValueError: If the crops have a size that the generator does not take.
        """
        if any(side % self.size_divisor for side in lq.shape[-2:]):
            raise ValueError(f'The training crops are {lq.shape[-1]}x{lq.shape[-2]}, and this generator takes multiples of '
                             f'{self.size_divisor}: change crop_size of RandomCrop in the training pipeline')
        images = dict(lq=lq[:, :3], gt=gt)
        priors = {}

        def prior_of(name):
            if name not in priors:
                priors[name] = self.skb(images[name])
            return priors[name]

        se_prior = None
        if self.guided and self.guided_generator:
            se_prior = self.skb if self.se_input == 'pred' else prior_of(self.se_input)
        outputs = self.generate(lq, se_prior, gt)
        images['pred'] = full_size(outputs)
        return outputs, prior_of(self.loss_input) if self.guided and self.semantic_losses else None

    def losses(self, outputs: Outputs, gt: Tensor, prior: Optional[SemanticPrior]) -> Dict[str, Tensor]:
        """The loss terms of the generator (Eq. 15), each by its name in the paper, and what L_recon shows of its own terms."""
        recon = self.recon_loss(outputs, gt)
        losses = dict(recon) if isinstance(recon, dict) else dict(loss_recon=recon)
        if not self.guided:
            return losses
        if self.sch_loss and MessageHub.get_current_instance().get_info('iter', 0) % self.sch_interval == 0:
            losses['loss_SCH'] = self.sch_loss(*self.compared(outputs, gt), prior and prior.labels)
        if self.sa_loss:
            losses.update(self.sa_loss.generator_loss(self.discriminator, full_size(outputs), gt, prior))
        return losses

    def forward_train(self, inputs: Tensor, data_samples: Optional[DataSample] = None) -> Dict[str, Tensor]:
        """The generator's loss terms for low-light images (N, 3, H, W) and the ground truth ``data_samples.gt_img``."""
        outputs, prior = self.reconstruct(inputs, data_samples.gt_img)
        return self.losses(outputs, data_samples.gt_img, prior)

    def train_step(self, data: dict, optim_wrapper) -> Dict[str, Tensor]:
        """One iteration; with the SA loss a step of D on the images as they are, then one of the generator."""
        if self.sa_loss is None:
            return super().train_step(data, optim_wrapper)
        self._check_optimizers(optim_wrapper)
        if not self.guided:
            return super().train_step(data, optim_wrapper['generator'])
        data = self.data_preprocessor(data, training=True)
        gt = data['data_samples'].gt_img
        with optim_wrapper['generator'].optim_context(self.generator):
            outputs, prior = self.reconstruct(data['inputs'], gt)
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

    def state_dict(self, *args, destination=None, prefix='', keep_vars=False):
        """The weights under the same names with and without data parallel wrappers around the parts."""
        return get_state_dict(self, destination, prefix, keep_vars)

    def prepare(self, inputs: Tensor, gt: Optional[Tensor] = None) -> Tuple[Tensor, Optional[SemanticPrior], Optional[Tensor]]:
        """What :meth:`generate` takes in testing: inputs and ground truth, padded, and the prior for the SE modules.

        With ``test_passes`` of 2 that is the prior of a first result.
        """
        padded = pad_to_multiple(inputs, self.size_divisor)
        gt = None if gt is None else pad_to_multiple(gt, self.size_divisor)
        prior = None
        if self.guided_generator:
            prior = self.skb if self.se_input == 'pred' else self.skb(padded[:, :3])
            if self.test_passes == 2:
                prior = self.skb(full_size(self.generate(padded, prior, gt)))
        return padded, prior, gt

    def enhance(self, inputs: Tensor, gt: Optional[Tensor] = None) -> Tensor:
        """Enhances images of any size.

        Args:
            inputs (Tensor): Low-light images (N, 3 or more, H, W).
            gt (Tensor, optional): Ground truth (N, 3, H, W), where ``test_uses_gt`` is set.

        Returns:
            Tensor: (N, 3, H, W), unclamped.
        """
        padded, prior, gt = self.prepare(inputs, gt)
        image = full_size(self.generate(padded, prior, gt))
        return image[..., :inputs.shape[-2], :inputs.shape[-1]]

    def forward_tensor(self, inputs: Tensor, data_samples: Optional[DataSample] = None) -> Tensor:
        """The enhanced images (N, 3, H, W), unclamped; the mean over four flips where ``test_cfg.tta`` is set."""
        gt = self.ground_truth(data_samples) if self.test_uses_gt else None
        flips = [(), (-1, ), (-2, ), (-2, -1)] if (self.test_cfg or {}).get('tta') else [()]
        images = [self.enhance(inputs.flip(axes), None if gt is None else gt.flip(axes)).flip(axes) for axes in flips]
        return torch.stack(images).mean(dim=0)

    def forward_inference(self, inputs: Tensor, data_samples: Optional[DataSample] = None, **kwargs) -> DataSample:
        """As mmagic; raises FloatingPointError, naming the image, where the network's output is not finite."""
        images = self.forward_tensor(inputs, data_samples, **kwargs)
        check_finite(images, data_samples)
        return DataSample(pred_img=self.data_preprocessor.destruct(images, data_samples).cpu())

    @classmethod
    def ground_truth(cls, data_samples: DataSample) -> Tensor:
        """The ground truth of a test batch as the models have it: mmagic's preprocessor leaves it BGR in 0..255 in testing.

        Raises:
            ValueError: If there is none.
        """
        if data_samples is None or 'gt_img' not in data_samples:
            raise ValueError('This model is configured to look at the ground truth in testing, and there is none: give it one, '
                             f'or {cls.gt_advice}')
        return data_samples.gt_img.flip(1) / 255

    def convert_to_datasample(self, predictions: DataSample, data_samples: DataSample, inputs: Tensor) -> List[DataSample]:
        """As mmagic; outputs that the ground truth had a part in carry a note for :class:`mmskf.evaluation.ImageMetric`."""
        data_samples = super().convert_to_datasample(predictions, data_samples, inputs)
        for sample in data_samples:
            if self.test_uses_gt:
                sample.output.set_metainfo(dict(note=self.gt_note))
        return data_samples

    def _check_optimizers(self, optim_wrapper):
        if not isinstance(optim_wrapper, OptimWrapperDict) or set(optim_wrapper.keys()) != {'generator', 'discriminator'}:
            raise ValueError('With sa_loss, optim_wrapper needs constructor="mmagic.MultiOptimWrapperConstructor" and one '
                             'wrapper each for "generator" and "discriminator": see configs/_base_/schedules/drbn_skf.py')
