from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.runner.checkpoint import get_state_dict
from torch import Tensor

from mmskf.models.enhancement_net import EnhancementNet
from mmskf.models.whole_image import enhance_in_tiles
from mmskf.registry import MODELS
from mmskf.structures import DataSample, Prior
from mmskf.utils.image import from_mmagic

Outputs = Tensor | tuple[Tensor, ...]
# Images are read as RGB in 0..255, and so is what a pipeline appends to them; inside the models everything is in [0, 1].
DATA_PREPROCESSOR = dict(type='mmskf.EnhancementPreprocessor')


def full_size(outputs: Outputs) -> Tensor:
    """The enhanced image in a generator's outputs: the tensor, or the first of several."""
    return outputs[0] if isinstance(outputs, (tuple, list)) else outputs


def pad_to_multiple(image: Tensor, divisor: int) -> Tensor:
    """Pads (N, C, H, W) at the right and bottom to multiples of ``divisor``, by reflection if the image is large enough.

    There is no branch on the size, so that an exported network pads images of any size.
    """
    for axis in (-1, -2) if divisor > 1 else ():
        size = image.shape[axis]
        index = torch.arange((size + divisor - 1) // divisor * divisor, device=image.device)
        mirrored = torch.minimum(index, 2 * (size - 1) - index)
        edge = torch.minimum(index, index.new_tensor(0) + (size - 1))
        image = image.index_select(axis, torch.where((mirrored < 0).any(), edge, mirrored))
    return image


def check_finite(images: Tensor, data_samples: DataSample | None) -> None:
    """Rejects outputs (N, 3, H, W) that would be saved as black pixels and scored like an image.

    Raises:
        FloatingPointError: If an output is not finite; names the image.
    """
    bad = (~images.isfinite()).flatten(1).sum(dim=1)
    if not bad.any():
        return
    number = int(bad.nonzero()[0])
    sample = None if data_samples is None else data_samples.split()[number]
    name = f'number {number} of its batch' if sample is None else sample.get('img_path') or sample.get('key')
    raise FloatingPointError(f'The output of the network for the image {name} is NaN or infinite in {int(bad[number])} of '
                             f'{images[number].numel()} values: its weights are broken, or half precision is not enough for it '
                             '(omit --amp)')


class EnhancementEditor(BaseModel):
    """The base editor around an :class:`EnhancementNet`, with or without semantics, for images of any size.

    Loops, metrics, hooks and visualizers of mmagic get from it what they get from mmagic's own editors: data samples with
    ``input``, ``gt_img`` and ``output.pred_img``, BGR in 0..255.

    A subclass may override :meth:`forward_train`, :meth:`generate` (how the generator is called) and :meth:`test_prior` (which
    prior it gets).

    Args:
        generator (dict): Config of the enhancement network, an :class:`EnhancementNet`.
        recon_loss (dict, optional): Config of its loss. Defaults to None, for methods that are not trained.
        data_preprocessor (dict, optional): Config of an :class:`EnhancementPreprocessor`. Defaults to None: 8-bit images are
            scaled to [0, 1].
        train_cfg (dict, optional): Unused; mmagic's editors have it.
        test_cfg (dict, optional): ``tta=True`` averages the image over its four flips; ``max_pixels=N`` enhances larger images
            in tiles; a subclass lists further options in ``test_options``. Defaults to None.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Raises:
        TypeError: If the generator is not an :class:`EnhancementNet`.
        ValueError: If ``test_cfg`` has an unknown option.
    """

    test_options: tuple[str, ...] = ('tta', 'max_pixels')
    gt_note = 'output made with the ground truth'  # In the name of every score, if ``test_uses_gt`` is set.
    gt_advice = 'choose a setting that needs none'  # For users without a ground truth.

    def __init__(self,
                 generator: dict,
                 recon_loss: dict | None = None,
                 data_preprocessor: dict | None = None,
                 train_cfg: dict | None = None,
                 test_cfg: dict | None = None,
                 init_cfg: dict | None = None):
        unknown = sorted(set(test_cfg or {}) - set(self.test_options))
        if unknown:
            raise ValueError(f'model.test_cfg has {" and ".join(unknown)}, which {type(self).__name__} does not take: '
                             f'choose from {", ".join(self.test_options)}')
        super().__init__(data_preprocessor or DATA_PREPROCESSOR, init_cfg)
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        self.generator = MODELS.build(dict(generator, _scope_='mmskf'))
        self.pixel_loss: Any = MODELS.build(dict(recon_loss, _scope_='mmskf')) if recon_loss else None
        if not isinstance(self.generator, EnhancementNet):
            raise TypeError(f'model.generator is {generator["type"]}, which is not an EnhancementNet: derive it from '
                            'mmskf.models.EnhancementNet, or wrap it: generator=dict(type="SEWrapper", net=dict(type=...))')
        # Read here, since data-parallel wrappers hide the generator's attributes.
        self.size_divisor = self.generator.size_divisor
        self.input_channels = self.generator.input_channels
        self.test_uses_gt = self.generator.test_uses_gt
        self.max_pixels: int | None = (test_cfg or {}).get('max_pixels')

    def forward(self, inputs: Tensor, data_samples: DataSample | None = None, mode: str = 'tensor', **kwargs: Any) -> Any:
        """What mmengine's loops call, with the batch that the data preprocessor made.

        Args:
            inputs (Tensor): Low-light images (N, input_channels, H, W).
            data_samples (DataSample, optional): Those of the batch. Defaults to None.
            mode (str): 'tensor', 'predict' or 'loss': :meth:`forward_tensor`, :meth:`forward_inference` as a list of data
                samples, or :meth:`forward_train`. Defaults to 'tensor'.
            **kwargs: For these methods.

        Raises:
            ValueError: If the mode is unknown.
        """
        if mode == 'tensor':
            return self.forward_tensor(inputs, data_samples, **kwargs)
        if mode == 'predict':
            predictions = self.forward_inference(inputs, data_samples, **kwargs)
            return self.convert_to_datasample(predictions, data_samples or DataSample(), inputs)
        if mode == 'loss':
            return self.forward_train(inputs, data_samples or DataSample(), **kwargs)
        raise ValueError(f"mode={mode!r}: choose 'tensor', 'predict' or 'loss'")

    def forward_train(self, inputs: Tensor, data_samples: DataSample, **kwargs: Any) -> dict[str, Tensor]:
        """The loss terms of a batch: name -> scalar. Here that of the enhanced images alone, as in mmagic's base editor."""
        return dict(loss=self.pixel_loss(self.forward_tensor(inputs, data_samples, **kwargs), data_samples.gt_img))

    def generate(self, inputs: Tensor, prior: Prior, gt: Tensor | None = None, **maps: Tensor) -> Outputs:
        """Calls the generator.

        Args:
            inputs (Tensor): Low-light images (N, input_channels, H, W), of a size that the generator takes.
            prior (SemanticPrior or callable, optional): For its SE modules.
            gt (Tensor, optional): Ground truth (N, 3, H, W) in training; in testing only if ``test_uses_gt`` is set.
            **maps (Tensor): Its :meth:`EnhancementNet.maps_of_whole`, if the inputs are a tile.

        Returns:
            Tensor or tuple: The input of ``recon_loss``.
        """
        return self.generator(inputs, prior, **maps)

    def test_prior(self, inputs: Tensor, gt: Tensor | None = None) -> Prior:
        """The prior that the generator gets in testing: None, without a knowledge bank."""
        return None

    def test(self, inputs: Tensor, gt: Tensor | None = None) -> Outputs:
        """The generator's outputs in testing; images of more than ``max_pixels`` are enhanced in tiles.

        Args:
            inputs (Tensor): Low-light images (N, input_channels, H, W) of a size that the generator takes.
            gt (Tensor, optional): Ground truth (N, 3, H, W), if ``test_uses_gt`` is set.
        """
        if self.max_pixels and inputs[0, 0].numel() > self.max_pixels:
            return enhance_in_tiles(self, inputs, gt, self.max_pixels)
        return self.generate(inputs, self.test_prior(inputs, gt), gt)

    def enhance(self, inputs: Tensor, gt: Tensor | None = None) -> Tensor:
        """Enhances images of any size.

        Args:
            inputs (Tensor): Low-light images (N, input_channels, H, W).
            gt (Tensor, optional): Ground truth (N, 3, H, W), if ``test_uses_gt`` is set.

        Returns:
            Tensor: (N, 3, H, W), unclamped.
        """
        gt = None if gt is None else pad_to_multiple(gt, self.size_divisor)
        image = full_size(self.test(pad_to_multiple(inputs, self.size_divisor), gt))
        return image[..., :inputs.shape[-2], :inputs.shape[-1]]

    def forward_tensor(self, inputs: Tensor, data_samples: DataSample | None = None, **kwargs: Any) -> Tensor:
        """The enhanced images (N, 3, H, W), unclamped; averaged over four flips if ``test_cfg.tta`` is set."""
        gt = self.ground_truth(data_samples) if self.test_uses_gt else None
        flips: list[tuple[int, ...]] = [(), (-1, ), (-2, ), (-2, -1)] if (self.test_cfg or {}).get('tta') else [()]
        images = [self.enhance(inputs.flip(axes), None if gt is None else gt.flip(axes)).flip(axes) for axes in flips]
        return torch.stack(images).mean(dim=0)

    def forward_inference(self, inputs: Tensor, data_samples: DataSample | None = None, **kwargs: Any) -> DataSample:
        """The enhanced images as ``pred_img`` (N, 3, H, W), BGR in 0..255.

        Raises:
            FloatingPointError: If the network's output is not finite; names the image.
        """
        images = self.forward_tensor(inputs, data_samples, **kwargs)
        check_finite(images, data_samples)
        return DataSample(pred_img=self.data_preprocessor.destruct(images, data_samples).cpu())

    @classmethod
    def ground_truth(cls, data_samples: DataSample | None) -> Tensor:
        """The ground truth of a test batch in the models' format: (N, 3, H, W), RGB in [0, 1].

        Raises:
            ValueError: If there is none.
        """
        if data_samples is None or 'gt_img' not in data_samples:
            raise ValueError('This model is configured to use the ground truth in testing, but there is none: give it one, '
                             f'or {cls.gt_advice}')
        return from_mmagic(data_samples.gt_img)

    def convert_to_datasample(self, predictions: DataSample, data_samples: DataSample, inputs: Tensor) -> list[DataSample]:
        """The batch's data samples, with its ``input`` and the predictions as ``output``; outputs that used the ground truth
        carry a note for :class:`mmskf.evaluation.ImageMetric`.
        """
        data_samples.set_field(self.data_preprocessor.destruct(inputs, data_samples), 'input')
        samples = data_samples.split()
        for sample, output in zip(samples, predictions.split()):
            sample.output = output
            if self.test_uses_gt:
                output.set_metainfo(dict(note=self.gt_note))
        return samples

    def state_dict(self, *args: Any, destination: Any = None, prefix: str = '', keep_vars: bool = False) -> dict:
        """The weights, under the same names with and without data-parallel wrappers around the parts."""
        return get_state_dict(self, destination, prefix, keep_vars)
