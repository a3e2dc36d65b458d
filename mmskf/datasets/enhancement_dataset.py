import logging
import os.path as osp
import re
from collections.abc import Callable, Sequence
from typing import Any

from mmagic.datasets import BasicImageDataset
from mmengine.logging import print_log

from mmskf.registry import DATASETS
from mmskf.utils.image_folder import IMG_EXTENSIONS, describe_skipped, is_image_name, shortened


@DATASETS.register_module()
class EnhancementDataset(BasicImageDataset):
    """Low-light images in a folder, with or without a second folder of normal-light ground-truth images.

    What it adds to mmagic's ``BasicImageDataset``: everything that can be wrong with the folders is reported when the data set is
    built, before training starts; the two images of a pair may have different names and different extensions.

    Images are recognized by their extensions, in upper or lower case. Hidden files are skipped; other skipped files are named in
    the log, and listed in ``skipped``.

    Each sample has a ``key`` (the common part of the names of a pair), ``img_path`` and, with pairs, ``gt_path``. Samples are
    sorted by ``key``.

    Args:
        data_root (str): Folder of the data set.
        data_prefix (dict): Folder of each side below ``data_root``: ``dict(img='low', gt='high')`` for pairs,
            ``dict(img='')`` for images without ground truth.
        filename_tmpl (dict, optional): File names of each side, without extension, with '{}' for the common part of a pair:
            ``dict(img='low{}', gt='normal{}')`` pairs low00690.png with normal00690.png. Defaults to '{}' for each side.
        pipeline (Sequence): Transforms. Defaults to none.
        metainfo (dict, optional): Facts about the data set. ``num_images`` is the expected number of images (pairs count once):
            another number gives a warning, since scores on part of a data set are not comparable with any others.
        exclude (Sequence[str]): Keys of samples to leave out, such as misaligned pairs. Defaults to none.
        recursive (bool): Whether to search subfolders as well. Defaults to False.
        serialize_data (bool): Whether to pack the list of files for many workers, which costs a garbage collection (half a
            second) and pays off for more than some hundred thousand files. Defaults to False.
        img_suffix (Sequence[str]): Extensions of images, in lower case. Defaults to :data:`IMG_EXTENSIONS`.
        **kwargs: ``test_mode``, ``indices``, ``lazy_init``... of ``mmengine.dataset.BaseDataset``, and ``backend_args``.

    Raises:
        FileNotFoundError: If a folder is missing or contains no image.
        ValueError: If a name does not match its template, an image has no partner, or a key to exclude is missing.

    Examples:
        >>> EnhancementDataset('data/LOL', dict(img='our485/low', gt='our485/high'))
        >>> EnhancementDataset('data/unpaired', dict(img='MEF'))
    """

    METAINFO = dict(dataset_type='low_light', task_name='enhancement')

    def __init__(self,
                 data_root: str,
                 data_prefix: dict[str, str],
                 filename_tmpl: dict[str, str] | None = None,
                 pipeline: Sequence[dict | Callable] = (),
                 metainfo: dict | None = None,
                 exclude: Sequence[str] = (),
                 recursive: bool = False,
                 serialize_data: bool = False,
                 img_suffix: Sequence[str] = IMG_EXTENSIONS,
                 **kwargs: Any) -> None:
        self.skipped: list[str] = []
        self.exclude = tuple(map(str, exclude))  # --cfg-options makes numbers of keys
        # A new dict for each data set: BasicImageDataset modifies the one it gets, even its own default.
        super().__init__(
            data_root=data_root,
            data_prefix=dict(data_prefix),
            filename_tmpl=dict(filename_tmpl or {}),
            pipeline=list(pipeline),
            metainfo=metainfo,
            recursive=recursive,
            serialize_data=serialize_data,
            img_suffix=tuple(img_suffix),
            **kwargs)

    def load_data_list(self) -> list[dict]:
        """Finds the images of each side and pairs them.

        Returns:
            list[dict]: ``key``, ``img_path`` and, with pairs, ``gt_path`` of each sample.
        """
        sides = {side: self._find_images(side) for side in self.data_prefix}
        if missing := sorted(set(self.exclude) - {key for paths in sides.values() for key in paths}):
            kept = [key for key in self.exclude if key not in missing]
            loaders = ('val_dataloader', 'test_dataloader') if self.test_mode else ('train_dataloader', )
            raise ValueError(f'exclude={list(self.exclude)} of the data set {self.data_root}: no image has the key '
                             f'{", ".join(missing)}. For a part of a data set that lacks it, set '
                             f'{" and ".join(f"{loader}.dataset.exclude={kept}" for loader in loaders)}')
        samples = self.pair({side: {key: path for key, path in sorted(paths.items()) if key not in self.exclude}
                             for side, paths in sides.items()})
        expected = self._metainfo.get('num_images')
        if expected is not None and len(samples) != expected:
            print_log(f'{self.data_root} ({", ".join(self.data_prefix.values())}): found {len(samples)} images, '
                      f'expected {expected}: scores are not comparable with published ones',
                      logger='current', level=logging.WARNING)
        return samples

    def pair(self, sides: dict[str, dict[str, str]]) -> list[dict]:
        """The samples, given the images of each side: key -> path, sorted.

        Raises:
            ValueError: If an image lacks its partner.
        """
        self._check_pairs(sides)
        keys = next(iter(sides.values()))
        return [dict(key=key, **{f'{side}_path': paths[key] for side, paths in sides.items()}) for key in keys]

    def _find_images(self, side: str) -> dict[str, str]:
        """The images of a side: the part of the name shared with their partners -> path."""
        folder = self.data_prefix[side]
        if not self.file_backend.isdir(folder):
            raise FileNotFoundError(
                f'The folder of the "{side}" images does not exist: {folder}. Put the data set there, or say where it is '
                f'with --data-root (field data_root, now {self.data_root!r}; data_prefix.{side} is the folder inside it)')
        template = self.filename_tmpl[side]
        pattern = re.compile('(.*)'.join(re.escape(part) for part in template.split('{}')))
        paths: dict[str, str] = {}
        strangers, skipped = [], []
        for name in sorted(self.file_backend.list_dir_or_file(folder, list_dir=False, recursive=self.recursive)):
            if not is_image_name(name, self.img_suffix):
                skipped.append(osp.join(folder, name))
                continue
            match = pattern.fullmatch(osp.splitext(osp.basename(name))[0])
            if match is None:
                strangers.append(name)
                continue
            key = osp.join(osp.dirname(name), match.group(1))
            path = osp.join(folder, name)
            if key in paths:
                raise ValueError(f'{paths[key]} and {path} have the same name except for the extension, so the pairs are '
                                 'ambiguous: keep one of them')
            paths[key] = path
        if skipped:
            self.skipped += skipped
            print_log(describe_skipped(skipped), logger='current', level=logging.WARNING)
        if strangers:
            raise ValueError(f'{len(strangers)} of the images in {folder} are not named "{template}.*": {shortened(strangers)}. '
                             f'Rename or remove them, or set filename_tmpl.{side}')
        if not paths:
            raise FileNotFoundError(f'The folder of the "{side}" images contains no image: {folder} (looked for '
                                    f'{", ".join(self.img_suffix)}'
                                    f'{"" if self.recursive else ", not in subfolders"})')
        return paths

    def _check_pairs(self, sides: dict[str, dict[str, str]]) -> None:
        """Raises ValueError if an image of a side lacks its partner on another one."""
        problems = []
        for side, paths in sides.items():
            for other in sides:
                alone = [paths[key] for key in sorted(paths.keys() - sides[other].keys())]
                if alone:
                    problems.append(f'{len(alone)} of the {len(paths)} images of "{side}" have none in "{other}" '
                                    f'({self.data_prefix[other]}): {shortened(alone)}')
        if problems:
            raise ValueError(f'Every image needs a partner, but {"; ".join(problems)}. Complete the pairs, or remove the '
                             f'images without a partner; names are paired by filename_tmpl={self.filename_tmpl}')
