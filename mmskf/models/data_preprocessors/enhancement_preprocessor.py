from collections.abc import Sequence

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmskf.registry import MODELS
from mmskf.structures import DataSample
from mmskf.utils.image import swap_rgb


@MODELS.register_module()
class EnhancementPreprocessor(BaseDataPreprocessor):
    """Makes a batch of images of one size, with or without ground truth, as ``mmagic.DataPreprocessor`` does.

    The ground truth is treated like the images in training; in testing it becomes BGR in 0..255, which is what mmagic's metrics
    get. Images are BGR unless their metadata say something else (``img_channel_order``, ``gt_channel_order``).

    Args:
        mean (Sequence[float]): One number, or one per channel. Defaults to (0, ).
        std (Sequence[float]): Likewise. With both defaults 8-bit images are scaled to [0, 1].
        output_channel_order (str, optional): 'RGB' or 'BGR', of what the model gets. Defaults to None: the order is kept.
        data_keys (str or Sequence[str], optional): Images in the data samples that are preprocessed as well, where there are any.
            Defaults to 'gt_img'.
    """

    def __init__(self,
                 mean: Sequence[float] = (0., ),
                 std: Sequence[float] = (255., ),
                 output_channel_order: str | None = None,
                 data_keys: str | Sequence[str] | None = 'gt_img'):
        super().__init__()
        if output_channel_order not in (None, 'RGB', 'BGR'):
            raise ValueError(f'output_channel_order={output_channel_order!r} of {type(self).__name__}: choose RGB, BGR or None')
        self.register_buffer('mean', torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std, dtype=torch.float32).view(-1, 1, 1), persistent=False)
        self.output_channel_order = output_channel_order
        self.data_keys = [data_keys] if isinstance(data_keys, str) else data_keys

    def forward(self, data: dict, training: bool = False) -> dict:
        """Stacks and normalizes a batch.

        Args:
            data (dict): ``inputs``, images (C, H, W) in 0..255, and their ``data_samples``, if there are any.
            training (bool): Whether the ground truth is for a loss. Defaults to False.

        Returns:
            dict: ``inputs`` (N, C, H, W) and the batch's ``data_samples`` (DataSample).

        Raises:
            ValueError: If the images have different sizes; names the files.
        """
        data = self.cast_data(data)
        images = data['inputs']
        samples: list[DataSample] = data.get('data_samples') or [DataSample() for _ in images]
        _check_sizes(images, samples, training)
        inputs = []
        for image, sample in zip(images, samples):
            order = _channel_order(sample, 'img')
            inputs.append(self._normalize(_reorder(image, order, self.output_channel_order)))
            sample.set_metainfo(dict(img_output_channel_order=self.output_channel_order or order))
            for key in self.data_keys or ():
                if key in sample:
                    self._preprocess(sample, key, training)
        return dict(data, inputs=torch.stack(inputs), data_samples=type(samples[0]).stack(samples))

    def destruct(self, outputs: Tensor, data_samples: DataSample | None = None, key: str = 'img') -> Tensor:
        """The inverse of :meth:`forward` for a model's images: BGR in 0..255, clamped.

        Args:
            outputs (Tensor): (N, C, H, W), or (C, H, W).
            data_samples (DataSample, optional): Those of the batch. Defaults to None: the order of channels is kept.
            key (str): The image whose order of channels they have. Defaults to 'img'.
        """
        order = 'BGR' if data_samples is None else data_samples.metainfo.get(f'{key}_output_channel_order', 'BGR')
        return _reorder(outputs * self.std + self.mean, order if isinstance(order, str) else order[0], 'BGR').clamp_(0, 255)

    def _preprocess(self, sample: DataSample, key: str, training: bool) -> None:
        order = _channel_order(sample, 'gt' if key == 'gt_img' else key)
        image = _reorder(sample.get(key), order, self.output_channel_order if training else 'BGR')
        sample.set_field(self._normalize(image) if training else image, key)

    def _normalize(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std


def _check_sizes(images: Sequence[Tensor], samples: Sequence[DataSample], training: bool) -> None:
    if len({tuple(image.shape) for image in images}) > 1:
        names = [sample.get('img_path', f'image {number}') for number, sample in enumerate(samples, 1)]
        sizes = [f'{name} is {image.shape[-1]}x{image.shape[-2]}' for name, image in zip(names, images)]
        advice = 'Crop them by RandomCrop' if training else 'Set batch_size=1 in val_dataloader and test_dataloader'
        raise ValueError(f'Images of several sizes (width x height) cannot be one batch: {", ".join(sizes)}. {advice}')


def _channel_order(sample: DataSample, key: str) -> str:
    return (sample.get(f'{key}_channel_order') or 'BGR').upper()


def _reorder(images: Tensor, order: str, target: str | None) -> Tensor:
    """Swaps red and blue, the first and the third channel, if the orders differ; others, such as the equalized image, go."""
    return swap_rgb(images[..., :3, :, :]) if target not in (None, order) else images
