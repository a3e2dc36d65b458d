import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mmskf.registry import HOOKS
from mmskf.utils.files import check_destination
from mmskf.utils.image import to_float_rgb, to_uint8
from mmskf.utils.image_file import Photo, write_photo
from mmskf.utils.image_folder import Originals

from .image_names import names_below_common_folder


@HOOKS.register_module()
class SaveImagesHook(Hook):
    """Saves every output of a test as an 8-bit RGB PNG under the name of its input.

    Values are rounded and clipped as in the metrics, so scores computed from the files are the reported ones. Folders are kept
    below the deepest folder that contains all inputs ('LIME/1.png', 'NPE/1.png'). If two inputs differ only in their extension,
    all keep theirs: 'a.bmp' and 'a.jpg' give 'a.bmp.png' and 'a.jpg.png'.

    Args:
        out_dir (str or Path): Folder of the images; it is made. Files of an earlier test are replaced, inputs never.
        pred_key (str): Field of the output that holds the image: (3, H, W), BGR, 0..255. Defaults to 'pred_img'.

    Raises:
        FileExistsError: Before the test, if an image would be written over one that the test reads.
        OSError: Before the test, if nothing can be written to the folder.
    """

    def __init__(self, out_dir: str | Path, pred_key: str = 'pred_img') -> None:
        self.out_dir = Path(out_dir)
        self.pred_key = pred_key
        self.files: dict[str, str] = {}

    def before_test(self, runner: Runner) -> None:
        """Gives each image of the data sets its file: all of them are needed to see which names collide."""
        check_destination(self.out_dir, folder=True)
        datasets = [loader.dataset for loader in runner.test_loop.dataloaders]
        samples = [dataset.get_data_info(index) for dataset in datasets for index in range(len(dataset))]
        self.files = output_files(sample['img_path'] for sample in samples)
        originals = Originals(value for sample in samples for key, value in sample.items() if key.endswith('_path'))
        for name in self.files.values():
            originals.check(self.out_dir / name)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                        outputs: Sequence[BaseDataElement] = ()) -> None:
        """Saves the images of a batch."""
        for sample in outputs:
            image = to_uint8(to_float_rgb(sample.output.get(self.pred_key)))
            write_photo(self.out_dir / self.files[sample.img_path], image, like=Photo(image), kind='PNG')


def output_files(paths: Iterable[str]) -> dict[str, str]:
    """One PNG name for each input image, without collisions.

    Args:
        paths (Iterable[str]): Paths of the inputs.

    Returns:
        dict[str, str]: Path -> relative name of a PNG.
    """
    names = names_below_common_folder(paths)
    stems = {path: os.path.splitext(name)[0] for path, name in names.items()}
    chosen = stems if len(set(stems.values())) == len(stems) else names
    return {path: f'{name}.png' for path, name in chosen.items()}
