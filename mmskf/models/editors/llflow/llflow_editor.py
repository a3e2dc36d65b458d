from typing import Any

import torch
from mmengine import dist
from torch import Tensor

from mmskf.registry import MODELS
from mmskf.structures import DataSample, Prior, SemanticPrior
from mmskf.utils.exporting import is_exporting
from mmskf.utils.image import log_image, to_mmagic

from ..enhancement_editor import Outputs, check_finite, pad_to_multiple
from ..skf_editor import SKFEditor
from .flow import InvertibleConv1x1
from .llflow_net import FlowOutputs


@MODELS.register_module(name=['LLFlowEditor', 'LLFlow'])
class LLFlowEditor(SKFEditor):
    """Trains and tests LLFlow (Wang et al., AAAI 2022) with or without SKF: :class:`SKFEditor` around a normalizing flow.

    Inputs are (N, 6, H, W): the image and its equalized version (:class:`AppendEqualized`), in [0, 1]. There is no enhanced image
    in training: the flow encodes the ground truth, ``recon_loss`` is the likelihood of its latent image, and SCH compares that
    with the mean of its Gaussian, as released.

    Args:
        train_gt_ratio (float): Probability that the mean for a batch is the color map of the ground truth instead of the one
            predicted from the low-light image. Defaults to 0.2.
        inverse_loss (dict, optional): Config of a loss between the image decoded from the predicted color map and the ground
            truth, logged as ``loss_inverse``. Defaults to None.
        test_cfg (dict, optional): As in :class:`SKFEditor`, and ``temperature``: standard deviation of the decoded latent image
            around the color map, 0 by default.
        **kwargs: As in :class:`SKFEditor`.

    Raises:
        ValueError: If a part of SKF needs an enhanced image in training, or ``train_gt_ratio`` is not a probability.
    """

    test_options = (*SKFEditor.test_options, 'temperature')

    def __init__(self, *args: Any, train_gt_ratio: float = 0.2, inverse_loss: dict | None = None, **kwargs: Any):
        if kwargs.get('sa_loss') or kwargs.get('loss_input') == 'pred':
            raise ValueError('sa_loss and loss_input="pred" need the enhanced image, which LLFlow does not make in training: '
                             'set sa_loss=None, discriminator=None and loss_input="lq"')
        if not 0 <= train_gt_ratio <= 1:
            raise ValueError(f'train_gt_ratio={train_gt_ratio!r}: it is a probability, choose one from 0 to 1')
        super().__init__(*args, **kwargs)
        self.train_gt_ratio = train_gt_ratio
        self.inverse_loss = MODELS.build(inverse_loss) if inverse_loss else None

    @property
    def temperature(self) -> float:
        """Standard deviation of the decoded latent image around the color map in testing."""
        return (self.test_cfg or {}).get('temperature', 0.)

    def generate(self, inputs: Tensor, prior: Prior, gt: Tensor | None = None, **maps: Tensor) -> Outputs:
        """The enhanced images or, given a ground truth, its latent images and their mean.

        Raises:
            ValueError: If an input is invalid, see :meth:`network_inputs`, or in training a matrix of the flow is.
        """
        lq = self.network_inputs(inputs)
        if gt is None:
            return self.generator(lq, prior, temperature=self.temperature, **maps)
        outputs = self.generator(lq, prior, gt, decode=self.inverse_loss is not None)
        # The only device synchronization in training: the cause is searched for only if something is wrong.
        if not outputs.logdet.isfinite().all():
            self.check_finite(inputs)
            for module in self.generator.modules():
                if isinstance(module, InvertibleConv1x1):
                    module.check()
        use_gt = torch.rand(1, device=gt.device) < self.train_gt_ratio
        dist.broadcast(use_gt)
        gt_color_map = gt / (gt.sum(dim=1, keepdim=True) + 1e-4)
        # Not a branch in Python: data-parallel training needs a gradient, if only zero, for every parameter.
        return outputs._replace(mean=torch.where(use_gt, gt_color_map, outputs.mean))

    def network_inputs(self, inputs: Tensor) -> Tensor:
        """The image in the log domain, and the equalized image: (N, 6, H, W) -> (N, 6, H, W).

        Raises:
            ValueError: If the equalized image is missing or, in testing, pixels are not finite.
        """
        if inputs.shape[1] != self.input_channels:
            raise ValueError(f'LLFlow was given {inputs.shape[1]} channels, expected 6, the image and its equalized version: put '
                             'dict(type="AppendEqualized") after LoadImage in the pipeline')
        if not self.training and not is_exporting():
            self.check_finite(inputs)
        return torch.cat([log_image(inputs[:, :3]), inputs[:, 3:]], dim=1)

    @staticmethod
    def check_finite(inputs: Tensor) -> None:
        """Rejects images with pixels that are not finite."""
        broken = inputs.numel() - int(inputs.isfinite().sum())
        if broken:
            raise ValueError(f'{broken} of {inputs.numel()} input values are NaN or infinite, expected RGB in [0, 1]: check '
                             'the image and how it was read')

    def compared(self, outputs: Outputs, gt: Tensor) -> tuple[Tensor, Tensor]:
        """SCH compares the mean of the Gaussian with the latent image."""
        assert isinstance(outputs, FlowOutputs)
        return outputs.mean, outputs.latent

    def losses(self, outputs: Outputs, gt: Tensor | None, prior: SemanticPrior | None) -> dict[str, Tensor]:
        """The loss terms, by name."""
        losses = super().losses(outputs, gt, prior)
        if self.inverse_loss:
            assert isinstance(outputs, FlowOutputs)
            losses['loss_inverse'] = self.inverse_loss(outputs.image, gt)
        return losses

    @torch.no_grad()
    def sample(self, inputs: Tensor, num_samples: int, temperature: float) -> Tensor:
        """Samples several enhanced images from the distribution that the flow has learned.

        Args:
            inputs (Tensor): Images and their equalized versions, (N, 6, H, W), in [0, 1], of any size.
            num_samples (int): Samples per image.
            temperature (float): Standard deviation around the color map, about 0 to 1.

        Returns:
            Tensor: (num_samples, N, 3, H, W), unclamped.
        """
        padded = pad_to_multiple(inputs, self.size_divisor)
        conds, color_map = self.generator.condition(self.network_inputs(padded), self.test_prior(padded))
        images = torch.stack([self.generator.decode(conds, color_map, temperature) for _ in range(num_samples)])
        return images[..., :inputs.shape[-2], :inputs.shape[-1]]

    def forward_inference(self, inputs: Tensor, data_samples: DataSample | None = None, **kwargs: Any) -> DataSample:
        """Test predictions: besides ``pred_img`` also ``unclamped_img``, BGR in 0..255, for LLFlow's GT-mean."""
        images = self.forward_tensor(inputs, data_samples)
        check_finite(images, data_samples)
        clamped = self.data_preprocessor.destruct(images, data_samples)
        return DataSample(pred_img=clamped.cpu(), unclamped_img=to_mmagic(images).cpu())
