import random
from itertools import cycle, islice
from typing import Any

from mmskf.registry import DATASETS

from .enhancement_dataset import EnhancementDataset


@DATASETS.register_module()
class UnpairedDataset(EnhancementDataset):
    """Low-light images in one folder, normal-light images of other scenes in another, for training without pairs.

    Sample i has the i-th image of each folder, in the order of their names; the smaller folder is repeated.

    Args:
        *args: See :class:`EnhancementDataset`. ``data_prefix`` has two sides, 'img' and 'gt', and ``num_images`` counts the
            images of the larger one.
        random_partner: Whether each low-light image gets another random normal-light image every time, for folders that show
            the same scenes in the same order, such as those of paired data sets. Defaults to False.
        **kwargs: See :class:`EnhancementDataset`.

    Raises:
        ValueError: If ``data_prefix`` has other sides.

    Examples:
        >>> UnpairedDataset('data/unpaired', dict(img='trainA', gt='trainB'))
        >>> UnpairedDataset('data/LOL', dict(img='our485/low', gt='our485/high'), random_partner=True)
    """

    def __init__(self, *args: Any, random_partner: bool = False, **kwargs: Any) -> None:
        self.random_partner = random_partner
        super().__init__(*args, **kwargs)

    def pair(self, sides: dict[str, dict[str, str]]) -> list[dict]:
        """The samples, given the images of each side: key -> path, sorted."""
        if set(sides) != {'img', 'gt'}:
            raise ValueError(f'data_prefix of UnpairedDataset has the sides {", ".join(sides)}, expected img (low light) and gt '
                             '(normal light, other scenes)')
        low, self.normal = list(sides['img'].items()), list(sides['gt'].values())
        both = zip(cycle(low), cycle(self.normal))
        return [dict(key=key, img_path=path, gt_path=normal)
                for (key, path), normal in islice(both, max(len(low), len(self.normal)))]

    def get_data_info(self, idx: int) -> dict:
        """The files of a sample."""
        info = super().get_data_info(idx)
        return dict(info, gt_path=random.choice(self.normal)) if self.random_partner else info
