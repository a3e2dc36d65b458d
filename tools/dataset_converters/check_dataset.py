"""Checks whether a data set on the disk is what its config expects, and whether test images are also training images.

    python tools/dataset_converters/check_dataset.py lol data/LOL
    python tools/dataset_converters/check_dataset.py lolv2_real data/LOL-v2/Real_captured --against data/LOL
    python tools/dataset_converters/check_dataset.py lol256 data/LOL-256
    python tools/dataset_converters/check_dataset.py paired data/demo
    python tools/dataset_converters/check_dataset.py unpaired data/unpaired

It checks folders, number of images, pairing, sizes and alignment of partners, and decodes every file. Test images are searched
for in the training set of the same data set and in --against, by a perceptual hash of the normal-light images (of the low-light
ones if there is no ground truth). The exit code is 1 if there is any problem.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed

import numpy as np
from mmengine.utils import track_iter_progress
from PIL import Image
from scipy.fft import dctn
from scipy.stats import rankdata
from skimage.registration import phase_cross_correlation

from mmskf.apis.config import paired_kinds
from mmskf.datasets import UNPAIRED_SETS, EnhancementDataset, decode_image
from mmskf.utils.errors import run_tool
from mmskf.utils.image_folder import describe_skipped, list_images

CROP_SIZE = 256  # of most methods
HASH_SIDE, THUMBNAIL_SIDE = 16, 64
HASH_BITS = HASH_SIDE**2 - 1
# Partners are compared at this size, where one pixel is within what the measurement can tell.
ALIGNMENT_SIDE, ALIGNMENT_TOLERANCE = 256, 1
# Measured on 77 pairs of real photos: the low-light and the normal-light photo of a scene differ in up to 54 of the 255
# bits, two scenes in 88 or more.
THRESHOLD = 60


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('kind', choices=[*paired_kinds(), 'unpaired'],
                        help='data set; "paired" is {train,test}/{low,high} below ROOT')
    parser.add_argument('root', type=Path, help='its folder')
    parser.add_argument('--against', type=Path, nargs='+', default=[], metavar='FOLDER',
                        help='training sets that must not contain a test image: a folder of images, or the folder of a paired '
                             'data set, whose training set is used')
    parser.add_argument('--threshold', type=int, default=THRESHOLD,
                        help=f'two images count as the same if at most this number of {HASH_BITS} bits differ '
                             f'(default: {THRESHOLD})')
    return parser.parse_args(argv)


def perceptual_hash(image):
    """Hash of the content of an image: which of its low frequencies (DCT of a thumbnail) are above their median.

    The thumbnail's values are replaced by their ranks, so that no brightness, gamma or tone curve changes the hash.

    Args:
        image (np.ndarray): uint8 (H, W, 3).

    Returns:
        np.ndarray: bool (255,).
    """
    gray = Image.fromarray(image.mean(axis=2, dtype=np.float32))
    thumbnail = np.asarray(gray.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX))
    ranks = rankdata(thumbnail).reshape(thumbnail.shape)
    frequencies = dctn(ranks, norm='ortho')[:HASH_SIDE, :HASH_SIDE].ravel()[1:]
    return frequencies > np.median(frequencies)


def measure_shift(low, high):
    """How far the content of two images of a scene is apart, by phase correlation of their ranked gray values.

    Args:
        low (np.ndarray): uint8 (H, W, 3).
        high (np.ndarray): The same.

    Returns:
        tuple[int, int]: Rows and columns, in pixels of the images reduced to 256x256: whole numbers, and only a rough estimate
        where they are large.
    """
    window = np.outer(*2 * [np.hanning(ALIGNMENT_SIDE)])
    side = (ALIGNMENT_SIDE, ALIGNMENT_SIDE)
    ranked = []
    for image in (low, high):
        gray = Image.fromarray(image.mean(axis=2, dtype=np.float32)).resize(side, Image.Resampling.BOX)
        ranks = rankdata(gray).reshape(side)
        ranked.append((ranks - ranks.mean()) * window)
    shift, *_ = phase_cross_correlation(*ranked, normalization='phase')
    return tuple(map(int, shift))


def find_misaligned(pairs):
    """Pairs whose partners are not aligned, though of the same size.

    Args:
        pairs (dict): key -> (path, path) of readable images.

    Returns:
        dict: key -> (rows, columns), as shares of the height and the width.
    """
    shifts = {}
    if not pairs:
        return shifts
    print('  alignment of the partners:')
    for key, paths in track_iter_progress(list(pairs.items())):
        shift = measure_shift(*(decode_image(Path(path).read_bytes(), path) for path in paths))
        if max(map(abs, shift)) > ALIGNMENT_TOLERANCE:
            shifts[key] = tuple(pixels / ALIGNMENT_SIDE for pixels in shift)
    print()
    return shifts


def split_configs(kind, root):
    """Split or set -> arguments of its EnhancementDataset, expected number of images and training crop, or None."""
    if kind == 'unpaired':
        return {name: dict(data_root=str(root), data_prefix=dict(img=name), filename_tmpl=None, exclude=(), expected=count,
                           crop_size=None)
                for name, count in UNPAIRED_SETS.items()}
    return {name: dict(
        data_root=str(root),
        data_prefix=dict(split.data_prefix),
        filename_tmpl=split.get('filename_tmpl'),
        exclude=split.get('exclude', ()),
        expected=split.metainfo.num_images,
        crop_size=CROP_SIZE if name == 'train' else None) for name, split in paired_kinds()[kind].items()}


def find_files(data_root, data_prefix, filename_tmpl, exclude):
    """Side -> key -> path of all images of a split, the problems with its folders, names and pairing, and skipped files."""
    problems, files, skipped = [], {}, []
    try:
        EnhancementDataset(data_root, data_prefix, filename_tmpl, exclude=exclude)
    except (FileNotFoundError, ValueError) as error:
        problems.append(str(error))
    for side, folder in data_prefix.items():
        try:
            one_side = EnhancementDataset(data_root, {side: folder}, filename_tmpl, exclude=exclude)
        except (FileNotFoundError, ValueError) as error:
            if str(error) not in problems:
                problems.append(str(error))
        else:
            samples = map(one_side.get_data_info, range(len(one_side)))
            files[side] = {sample['key']: sample[f'{side}_path'] for sample in samples}
            skipped += one_side.skipped
    return files, problems, skipped


def read_files(paths, hashed):
    """Decodes files.

    Args:
        paths (list[str]): The files.
        hashed (set[str]): Those to be hashed.

    Returns:
        tuple: path -> (width, height), path -> hash, and a line for each unreadable file.
    """
    sizes, hashes, problems = {}, {}, []
    if not paths:
        return sizes, hashes, problems
    for path in track_iter_progress(paths):
        try:
            image = decode_image(Path(path).read_bytes(), path)
        except (OSError, ValueError) as error:
            problems.append(str(error))
            continue
        sizes[path] = (image.shape[1], image.shape[0])
        if path in hashed:
            hashes[path] = perceptual_hash(image)
    print()
    return sizes, hashes, problems


def describe_sizes(sizes):
    found = sorted(set(sizes.values()))
    if len(found) <= 3:
        return ', '.join(f'{width}x{height}' for width, height in found) or 'none read'
    return f'{len(found)} sizes, {found[0][0]}x{found[0][1]} to {found[-1][0]}x{found[-1][1]}'


def check_split(name, data_root, data_prefix, filename_tmpl, exclude, expected, crop_size):
    """Checks one split and prints the result.

    Returns:
        tuple: path -> hash of the images used to compare the split with others, and the list of problems.
    """
    print(f'{name}: {", ".join(data_prefix.values())}')
    files, problems, skipped = find_files(data_root, data_prefix, filename_tmpl, exclude)
    sizes, hashes, unreadable = read_files([path for paths in files.values() for path in paths.values()],
                                           set(files.get('gt', files.get('img', {})).values()))
    problems += unreadable
    for side, paths in files.items():
        count = len(paths)
        print(f'  {side}: {count} images' + (f' (expected {expected})' if expected else '') +
              f', {describe_sizes({path: sizes[path] for path in paths.values() if path in sizes})}')
        if expected and count != expected:
            problems.append(f'{data_prefix[side]} contains {count} images, expected {expected}')
    pairs = {}
    for key in sorted(set.intersection(*(set(paths) for paths in files.values())) if len(files) > 1 else ()):
        partners = [paths[key] for paths in files.values()]
        found = {sizes.get(path) for path in partners}
        if len(found - {None}) > 1:
            problems.append('partners differ in size: ' + ', '.join(
                f'{path} {"x".join(map(str, sizes[path]))}' for path in partners if path in sizes))
        elif None not in found:
            pairs[key] = partners
    for key, (rows, columns) in find_misaligned(pairs).items():
        width, height = sizes[pairs[key][0]]
        problems.append(f'partners are misaligned, by roughly {abs(rows * height):.0f} rows and {abs(columns * width):.0f} '
                        f'columns: {", ".join(pairs[key])}. Leave the pair out of training: exclude=[{key!r}] of its data set')
    if skipped:
        print(f'  note: {describe_skipped(skipped)}')
    if crop_size:
        small = [path for path, size in sizes.items() if min(size) < crop_size]
        if small:
            print(f'  note: {len(small)} images are smaller than the default crop of {crop_size}; train with a smaller '
                  f'crop_size. The first: {small[0]}')
    return hashes, problems


def training_images(folder):
    """Paths of the images of a folder, or of the normal-light training images of a paired data set in it."""
    candidates = [folder, *(folder / layout['train'].data_prefix['gt'] for layout in paired_kinds().values())]
    for candidate in candidates:
        images = list(map(str, list_images(candidate, recursive=False).images)) if candidate.is_dir() else []
        if images:
            return images
    raise FileNotFoundError(f'--against {folder}: no image there, nor in ' + ', '.join(str(path) for path in candidates[1:]))


def find_leaks(test, train, threshold):
    """Pairs of a test and a training image with the same content.

    Args:
        test (dict): path -> hash.
        train (dict): path -> hash.
        threshold (int): Maximum number of differing bits for which two images count as the same.

    Returns:
        list: (bits, path of the test image, path of the training image), the closest first.
    """
    if not test or not train:
        return []
    test_paths, train_paths = list(test), list(train)
    known = np.stack(list(train.values()))
    leaks = []
    for path in test_paths:
        distances = np.count_nonzero(known != test[path], axis=1)
        leaks += [(int(distances[i]), path, train_paths[i]) for i in np.flatnonzero(distances <= threshold)]
    return sorted(leaks)


def main(argv=None):
    args = parse_args(argv)
    train, test, problems = {}, {}, []
    for name, split in split_configs(args.kind, args.root).items():
        hashes, found = check_split(name, **split)
        (train if name == 'train' else test).update(hashes)
        problems += found
    for folder in args.against:
        images = training_images(folder)
        print(f'--against {folder}: {len(images)} images in {Path(images[0]).parent}')
        _, hashes, found = read_files(images, set(images))
        train.update(hashes)
        problems += found
    leaks = find_leaks(test, train, args.threshold)
    problems += [f'{path} is also a training image: {other} ({bits} of {HASH_BITS} bits differ)'
                 for bits, path, other in leaks]
    if train:
        found = len({path for _, path, _ in leaks})
        print(f'{found} of {len(test)} test images are also among {len(train)} training images')
    for problem in problems:
        print(f'problem: {problem}')
    print(f'{args.root}: {len(problems)} problems' if problems else f'{args.root} is a complete "{args.kind}" data set')
    return 1 if problems else 0


if __name__ == '__main__':
    run_tool(main)
