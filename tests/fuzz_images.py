"""Fuzzed image files through ``mmskf enhance``: nothing ends the batch, no answer is a traceback, nothing goes wrong silently.

    python tests/fuzz_images.py [COUNT] [SEED]

Every file is one of a kind: damaged (truncated, bits flipped, bytes put in or taken out, a header that claims a huge size),
unusual but sound (odd modes, 1x1, 5000x3, a wrong ending), or no image at all; names have blanks, line breaks, other scripts, a
leading dash. What is sound has to come out as its pixels say; what is damaged has to fail by name, or to come out in the right
size.
"""
import contextlib
import io
import json
import struct
import sys
import tempfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout's mmskf, whichever is installed

from mmskf.cli import main
from mmskf.utils.image_folder import printable

FORMATS = ('PNG', 'JPEG', 'TIFF', 'WEBP', 'BMP', 'GIF', 'PPM', 'JPEG2000', 'AVIF', 'TGA')
LOSSLESS = ('PNG', 'TIFF', 'BMP', 'PPM', 'TGA')
CHECKED = ('PNG', )  # with checksums: what is damaged cannot come out with other pixels
ENDINGS = ('.png', '.jpg', '.JPG', '.tif', '.webp', '.bmp', '.gif', '.ppm', '.jp2', '.avif', '.tga', '.Jpeg')
NAMES = ('photo', 'a photo', 'line\nbreak', 'тень', '夜景', 'émoji 🌙', '-dash', '--help', 'per%cent', "quo'te", 'dou"ble',
         'tab\there', 'x' * 180, '...', '[1]', '*star*', '$HOME', 'a;b', 'back\\slash', 'ends.png')
MODES = ('1', 'L', 'P', 'LA', 'RGBA', 'CMYK', 'I;16', 'F', 'I')


class Case(NamedTuple):
    """A file, and what may become of it.

    Attributes:
        kind (str): How it was made.
        name (str): Its name.
        content (bytes): What is in it.
        pixels (np.ndarray, optional): What has to come out, before the enhancement; None where that is not known.
        fails (bool, optional): Whether it has to fail; None where it may.
    """
    kind: str
    name: str
    content: bytes
    pixels: np.ndarray | None = None
    fails: bool | None = None


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(rng, height, width):
    """A gradient with noise, which compresses like a photo."""
    base = np.linspace(0, 120, width)[None, :, None] * rng.uniform(0.2, 1, 3) + np.linspace(0, 60, height)[:, None, None]
    return np.clip(base + rng.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)


def damaged(rng, content):
    """One of the ways in which files break."""
    data = bytearray(content)
    how = rng.choice(['truncated', 'flipped', 'flipped header', 'inserted', 'removed', 'zeroed'])
    if how == 'truncated':
        data = data[:rng.integers(0, len(data))]
    elif how.startswith('flipped'):
        end = min(len(data), 64) if how == 'flipped header' else len(data)
        for _ in range(rng.integers(1, 20)):
            data[rng.integers(0, end)] ^= 1 << rng.integers(0, 8)
    elif how == 'inserted':
        at = rng.integers(0, len(data))
        data[at:at] = rng.bytes(rng.integers(1, 50))
    elif how == 'removed':
        at = rng.integers(0, len(data))
        del data[at:at + rng.integers(1, 50)]
    else:
        at = rng.integers(0, len(data))
        data[at:at + 40] = bytes(len(data[at:at + 40]))
    return how, bytes(data)


def huge_header(rng):
    """A small PNG or BMP that says it is huge."""
    width, height = (int(2**rng.uniform(15, 31)) for _ in range(2))
    if rng.random() < 0.5:
        header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
        return '.png', b'\x89PNG\r\n\x1a\n' + b''.join(
            struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
            for name, data in ((b'IHDR', header), (b'IDAT', zlib.compress(bytes(1000))), (b'IEND', b'')))
    content = bytearray(encode(Image.new('RGB', (8, 8)), 'BMP'))
    content[18:26] = struct.pack('<ii', min(width, 2**31 - 1), min(height, 2**31 - 1))
    return '.bmp', bytes(content)


def odd_mode(rng, image):
    """An image in an unusual mode, in a format that has it, and its pixels as 8-bit RGB."""
    mode = rng.choice(MODES)
    gray = np.asarray(Image.fromarray(image).convert('L'))
    replicated = np.repeat(gray[..., None], 3, axis=2)
    if mode == 'I;16':
        return mode, 'PNG', Image.fromarray(gray.astype(np.uint16) * 257), replicated
    if mode == 'F':
        return mode, 'TIFF', Image.fromarray(gray.astype(np.float32) / 255), replicated
    if mode == 'I':
        return mode, 'TIFF', Image.fromarray(gray.astype(np.int32) * 65536), None
    picture = Image.fromarray(image).convert(mode)
    return mode, 'TIFF' if mode == 'CMYK' else 'PNG', picture, np.asarray(picture.convert('RGB'))


def make_case(rng, number):
    """One fuzzed file."""
    kind = rng.choice(['damaged', 'damaged', 'damaged', 'size', 'mode', 'ending', 'name', 'huge', 'stranger'])
    name = f'{number:04d} {rng.choice(NAMES)}' if rng.random() < 0.7 else f'{rng.choice(NAMES)}{number}'
    image = picture(rng, *rng.integers(8, 60, 2))
    form = str(rng.choice(FORMATS))
    ending = next(end for end in ENDINGS if Image.registered_extensions().get(end.lower()) == form)
    if kind == 'damaged':
        how, content = damaged(rng, encode(Image.fromarray(image), form))
        return Case(how, name + ending, content, image if form in CHECKED else None)
    if kind == 'huge':
        ending, content = huge_header(rng)
        return Case(kind, name + ending, content, fails=True)
    if kind == 'stranger':
        text = rng.choice(['<html>404</html>', '%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n', '%PDF-1.4', '', 'hello',
                           '\0' * 200])
        return Case(kind, name + ending, text.encode(), fails=True)
    if kind == 'mode':
        mode, form, picture_, pixels = odd_mode(rng, image)
        ending = '.png' if form == 'PNG' else '.tif'
        return Case(f'mode {mode}', name + ending, encode(picture_, form), pixels, fails=pixels is None)
    form = str(rng.choice(LOSSLESS))
    if kind == 'size':
        height, width = ((1, 1), (3, 5000), (5000, 3), (1, 70), (2, 2))[rng.integers(5)]
        image, ending = picture(rng, height, width), '.png'
        form = 'PNG'
    elif kind == 'ending':
        ending = str(rng.choice(ENDINGS))
        form = str(rng.choice(LOSSLESS[:4]))  # TGA has no signature: without its ending it cannot be told
    else:
        ending = next(end for end in ENDINGS if Image.registered_extensions().get(end.lower()) == form)
    return Case(kind, name + ending, encode(Image.fromarray(image), form), image, fails=False)


def check(case, path, result, reason):
    """What is wrong with how a file was treated; None where nothing is."""
    if reason is not None:
        if case.fails is False:
            return f'a sound file failed: {reason}'
        if 'Traceback' in reason or '\n' in reason or len(reason) > 2000:
            return f'no message for people: {reason!r}'
        if printable(case.name) not in reason:
            return f'the message does not name the file: {reason}'
        return None
    if case.fails:
        return 'it did not fail'
    if case.pixels is None:
        return None
    with Image.open(result) as image:
        found = np.asarray(image.convert('RGB'))
    expected = np.rint((case.pixels / 255)**(1 / 2.2) * 255)
    tolerance = 1 if image.format in ('PNG', 'TIFF', 'BMP', 'PPM', 'TGA') else 40
    if found.shape != expected.shape or np.abs(found - expected).max() > tolerance:
        return 'its result is not what its pixels say'
    return None


def fuzz(count, seed, folder):
    """Enhances ``count`` fuzzed files in one batch.

    Returns:
        tuple[dict, list[str]]: How many of each kind were enhanced and failed, and what was wrong, a line for each file.
    """
    rng = np.random.default_rng(seed)
    source = Path(folder) / 'in put'
    cases = {}
    for number in range(count):
        case = make_case(rng, number)
        path = source / f'sub{number % 3}' / case.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(case.content)
        cases[str(path)] = case
    hidden = [path for path in cases if Path(path).name.startswith('.')]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(['enhance', '-o', str(Path(folder) / 'out'), '--model', 'gamma', '--json', '--quiet', '--device', 'cpu', '--',
                     str(source / 'sub0' / '..'), *hidden])
    report = json.loads(out.getvalue())
    done = {str(Path(item['input'].replace('sub0/../', ''))): item['output'] for item in report['enhanced']}
    failed = {str(Path(item['input'].replace('sub0/../', ''))): item['reason'] for item in report['failed']}
    problems = [f'{path!r} is in no list' for path in cases if path not in done and path not in failed]
    if code != (1 if failed else 0) or 'Traceback' in err.getvalue():
        problems.append(f'exit code {code}: {err.getvalue()[-2000:]}')
    counts = {}
    for path, case in cases.items():
        tally = counts.setdefault(case.kind, [0, 0])
        tally[path in failed] += 1
        problem = check(case, path, done.get(path), failed.get(path)) if path in done or path in failed else None
        if problem:
            problems.append(f'{case.kind}: {path!r}: {problem}')
    if len(set(done.values())) != len(done):
        problems.append('two files have one result')
    return counts, problems


if __name__ == '__main__':
    number, start = (int(value) for value in (sys.argv[1:] + ['1000', '0'][len(sys.argv) - 1:]))
    with tempfile.TemporaryDirectory() as folder:
        counts, problems = fuzz(number, start, folder)
    for kind, (enhanced, failed) in sorted(counts.items()):
        print(f'{kind:15} {enhanced:4} enhanced {failed:4} failed by name')
    print('\n'.join(problems) or 'nothing went wrong')
    sys.exit(bool(problems))
