"""Reads an image file as 8-bit sRGB, and writes a result in the format of its input."""
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import tifffile
from PIL import ExifTags, Image, ImageCms, ImageOps, TiffImagePlugin

from .files import atomic_open
from .image import alpha_of, to_8bit, to_rgb8
from .image_folder import FORMATS, RAW_ADVICE

#: Maximum pixels of an image to be read, unless another limit is given: 16384 x 16384.
PIXEL_LIMIT = 2**28
DAMAGED = 'the file is damaged or incomplete; copy it again from its source, or remove it'
HEIF_BRANDS = (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1')
# First bytes, in lower case, of files in unsupported formats, whatever their names say.
STRANGERS = ((b'%pdf', 'a PDF document'), (b'%!ps', 'a PostScript document'), (b'<!doctype html', 'a web page'),
             (b'<html', 'a web page'), (b'<svg', 'a drawing (SVG)'), (b'<?xml', 'an XML document'),
             (b'pk\x03\x04', 'an archive (ZIP)'), (b'\xff\x0a', 'JPEG XL'), (b'\x00\x00\x00\x0cjxl ', 'JPEG XL'),
             (b'fujifilmccd-raw', RAW_ADVICE))
RAW_PHOTOMETRICS = (32803, 34892)  # color filter array, linear raw
TAG_SUBFILE, TAG_PHOTOMETRIC, TAG_ORIENTATION, TAG_SUBIFDS, TAG_ICC, TAG_DNG = 254, 262, 274, 330, 34675, 50706
# TIFF tags that describe how the pixels are stored, or that do not apply to a result: EXIF is written without them.
STORAGE_TAGS = {
    *range(254, 260), 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 284, 288, 289, 290, 291, 292, 293, 297, 301,
    317, 318, 319, 320, *range(321, 333), *range(338, 350), *range(512, 522), 529, 530, 531, 532, 700, 33723, 34377, 34675,
    37724, 50341, 50706, 50707
}
MAKER_NOTE, PIXEL_WIDTH, PIXEL_HEIGHT = 0x927c, 0xa002, 0xa003
EXIF_LIMIT = 65533  # bytes, the size of a JPEG segment
_pillow = threading.RLock()


class OutputFormat(NamedTuple):
    """How results are written in one of Pillow's formats.

    Attributes:
        endings (tuple[str]): Allowed file extensions; the first is used if that of the input is none of them.
        options (dict): Options for Pillow.
        alpha (bool): Whether it supports an alpha channel.
        metadata (bool): Whether it supports EXIF and a color profile.
    """
    endings: tuple[str, ...]
    options: Mapping[str, Any] = {}
    alpha: bool = True
    metadata: bool = True


OUTPUT_FORMATS: dict[str, OutputFormat] = {
    'PNG': OutputFormat(('.png', )),
    'JPEG': OutputFormat(('.jpg', '.jpeg', '.jpe', '.jfif'), dict(quality=95, subsampling=0), alpha=False),
    'TIFF': OutputFormat(('.tif', '.tiff')),  # Without compression, with which Pillow loses parts of EXIF.
    'WEBP': OutputFormat(('.webp', ), dict(quality=95)),
    'AVIF': OutputFormat(('.avif', ), dict(quality=90)),
    'HEIF': OutputFormat(('.heic', '.heif', '.hif'), dict(quality=90)),
    'JPEG2000': OutputFormat(('.jp2', ), metadata=False),
    'BMP': OutputFormat(('.bmp', '.dib'), alpha=False, metadata=False),
    'PPM': OutputFormat(('.ppm', '.pnm'), alpha=False, metadata=False),
    'TGA': OutputFormat(('.tga', ), metadata=False),
}
# Related formats, and common names.
ALIASES = {'MPO': 'JPEG', 'DIB': 'BMP', 'JPG': 'JPEG', 'TIF': 'TIFF', 'HEIC': 'HEIF', 'JP2': 'JPEG2000'}
DEEP_FORMATS = ('PNG', 'TIFF')


@dataclass
class Photo:
    """An image as read, with the information needed to write a result like it.

    Attributes:
        pixels (np.ndarray): uint8 (H, W, 3), sRGB, upright.
        alpha (np.ndarray, optional): uint8 (H, W).
        format (str, optional): Pillow's name of the format of the file; None for an array.
        exif (bytes): EXIF without the orientation and without tags about the storage of the pixels.
        has_profile (bool): Whether the file had a color profile: if so, a result gets that of sRGB.
        notes (list[str]): Messages about what its owner may not expect.
    """
    pixels: np.ndarray
    alpha: np.ndarray | None = None
    format: str | None = None
    exif: bytes = b''
    has_profile: bool = False
    notes: list[str] = field(default_factory=list)


def photo_of_array(array: np.ndarray, name: str) -> Photo:
    """Converts an array by the same rules as a file, see :func:`~mmskf.utils.image.to_rgb8`.

    Raises:
        ValueError: If it is not an image.
    """
    return Photo(np.array(to_rgb8(array, name)), alpha_of(array, name))  # a copy, since pipelines may modify it


def read_photo(content: bytes, name: str, pixel_limit: int | None = PIXEL_LIMIT) -> Photo:
    """Decodes an image file in any common format.

    Pillow decodes, not OpenCV: every version of Pillow rejects truncated files, while OpenCV, depending on its version, fills the
    missing part with gray. TIFFs that Pillow does not support (RGB floats) are decoded by tifffile, HEIC by pillow-heif if it is
    installed. An EXIF orientation is applied, and colors are converted from the file's profile to sRGB; from a multi-page TIFF
    the largest page is used. For gray, 16 bits and floats see :func:`~mmskf.utils.image.to_rgb8`.

    Args:
        content (bytes): The file.
        name (str): Its name, for errors.
        pixel_limit (int, optional): A file with more pixels is not decoded. Defaults to 2^28; None: no limit.

    Raises:
        OSError: If the file is damaged, truncated, or not an image.
        ValueError: If the image is not supported: too large, a raw file, or with other values.
    """
    formats = [*FORMATS, *(['HEIF'] if _register_heif() else [])]
    try:
        with _pillow_limit(None):
            image = Image.open(io.BytesIO(content), formats=formats)
    except Exception as error:
        if content[:4] in (b'II*\0', b'MM\0*'):
            return _read_by_tifffile(content, name, pixel_limit)
        raise _unreadable(content, name, error) from error
    with image, _pillow_limit(pixel_limit):
        _check_size(image.size, name, pixel_limit)
        try:
            if image.format == 'PNG':
                # Pillow does not verify the checksums of the pixels, and decodes damaged ones to others.
                Image.open(io.BytesIO(content), formats=['PNG']).verify()
            notes = _choose_picture(image, name, pixel_limit)
            image.load()
        except RefusedImageError:
            raise
        except Exception as error:  # Each of Pillow's decoders raises its own.
            raise _unreadable(content, name, error) from error
        return _from_pillow(image, name, notes)


class RefusedImageError(ValueError):
    """An intact file that is not supported; the message says why and what to do."""


def _register_heif() -> bool:
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


@contextmanager
def _pillow_limit(limit: int | None) -> Iterator[None]:
    """Sets Pillow's global limit temporarily: it also guards against files whose header gives the wrong size."""
    with _pillow:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None if limit is None else -(-limit // 2)
        try:
            with warnings.catch_warnings():
                # Pillow warns above the limit, and refuses above twice the limit. Its other warnings are about damaged EXIF.
                warnings.simplefilter('ignore')
                yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _check_size(size: tuple[int, int], name: str, pixel_limit: int | None) -> None:
    width, height = size
    if pixel_limit is not None and width * height > pixel_limit:
        raise RefusedImageError(
            f'{name} has {width}x{height} = {width * height:,} pixels, more than the limit of {pixel_limit:,}, which guards '
            'against files that would fill the memory: if the file is from a source that you trust, raise pixel_limit '
            '(--pixel-limit)')


def _unreadable(content: bytes, name: str, error: Exception) -> OSError:
    """The error for a file that could not be decoded."""
    start = content[:32].lower().lstrip()
    known = next((kind for magic, kind in STRANGERS if start.startswith(magic)), None)
    if content[4:8] == b'ftyp':
        brands = [content[at:at + 4] for at in range(8, 64, 4)]
        if any(brand in HEIF_BRANDS for brand in brands) and not _register_heif():
            return OSError(f'{name} is a HEIC photo, which needs one more package to read: pip install pillow-heif')
        if brands[0] in (b'crx ', ):
            known = RAW_ADVICE
        elif brands[0][:3] in (b'qt ', b'iso', b'mp4', b'M4V', b'3gp'):
            known = 'a video'
    if known:
        return OSError(f'{name} cannot be read as an image: it is {known}')
    reason = 'the file is empty' if not content else str(error).split('<_io.BytesIO')[0].strip() or type(error).__name__
    return OSError(f'{name} cannot be read as an image ({reason}): {DAMAGED}')


def _refuse_raw(tags: Mapping[int, Any], name: str) -> None:
    """Rejects raw files in TIFF format: the only readable image in them is a small preview."""
    preview = bool(tags.get(TAG_SUBFILE, 0)) and TAG_SUBIFDS in tags
    if TAG_DNG in tags or preview or tags.get(TAG_PHOTOMETRIC) in RAW_PHOTOMETRICS:
        raise RefusedImageError(f'{name} is {RAW_ADVICE}')


def _choose_picture(image: Image.Image, name: str, pixel_limit: int | None) -> list[str]:
    """Selects the image to use from a file; returns notes about the others."""
    count = getattr(image, 'n_frames', 1)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        sizes = []
        for index in range(count):
            image.seek(index)
            _refuse_raw(image.tag_v2, name)
            _check_size(image.size, name, pixel_limit)
            sizes.append(image.width * image.height)
        image.seek(sizes.index(max(sizes)))
        return [f'{name} has {count} pages: the largest is taken, page {sizes.index(max(sizes)) + 1}'] if count > 1 else []
    moving = count > 1 and image.format not in ('MPO', 'PSD', 'ICO', 'ICNS')
    return [f'{name} holds {count} pictures: the first is taken'] if moving else []


def _from_pillow(image: Image.Image, name: str, notes: list[str]) -> Photo:
    kind = ALIASES.get(image.format or '', image.format)
    profile = image.info.get('icc_profile')
    try:
        ImageOps.exif_transpose(image, in_place=True)
        exif = _exif_to_keep(image)
    except Exception:  # Whatever is wrong with EXIF, the image itself is intact.
        notes.append(f'The EXIF data of {name} are damaged: an orientation in it is not applied, and results do not have it')
        exif = b''
    alpha = None
    if image.has_transparency_data:
        image = image.convert('RGBA')
        alpha = np.array(image.getchannel('A'))
        image = image.convert('RGB')
    if image.mode[0] in 'IF':
        array = np.asarray(image)
        if image.mode == 'I' and kind in ('PNG', 'PPM'):  # 16 bits, as older versions of Pillow read these formats
            array = array.astype(np.uint16)
        image = Image.fromarray(to_8bit(array, name))
    if profile or image.mode == 'LAB':
        image = _to_srgb(image, profile, name, notes)
    # A copy, since flips work in place and the memory of a Pillow image is read-only.
    return Photo(np.array(image.convert('RGB')), alpha, kind, exif, bool(profile), notes)


def _to_srgb(image: Image.Image, profile: bytes | None, name: str, notes: list[str]) -> Image.Image:
    """Converts the colors of an image without alpha from its profile to sRGB; 8-bit modes and LAB."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile) if profile else ImageCms.createProfile('LAB'))
        space = source.profile.xcolor_space.strip() if profile else 'LAB'
        if space == 'RGB' and 'srgb' in (source.profile.profile_description or '').lower():
            return image
        mode = {'RGB': 'RGB', 'GRAY': 'L', 'CMYK': 'CMYK', 'Lab': 'LAB', 'LAB': 'LAB'}[space]
        if image.mode != mode:
            if 'CMYK' in (mode, image.mode) or 'LAB' in (mode, image.mode) or (mode == 'L' and image.mode not in ('1', 'P')):
                raise ValueError(f'it is one for {space}')
            image = image.convert(mode)
        return ImageCms.buildTransform(source, ImageCms.createProfile('sRGB'), mode, 'RGB').apply(image)
    except (ImageCms.PyCMSError, ValueError, KeyError, OSError, TypeError) as error:
        notes.append(f'The color profile of {name} cannot be used ({error}): its colors are taken for sRGB')
        return image


def _exif_to_keep(image: Image.Image) -> bytes:
    """The EXIF of an upright image for its result: without tags about how this file stores its pixels."""
    given, kept = image.getexif(), Image.Exif()
    for tag, value in given.items():
        if tag not in STORAGE_TAGS and tag not in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop):
            kept[tag] = value
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        kept.get_ifd(ifd).update(given.get_ifd(ifd))
    details = kept.get_ifd(ExifTags.IFD.Exif)
    for tag, size in ((PIXEL_WIDTH, image.width), (PIXEL_HEIGHT, image.height)):
        if tag in details:
            details[tag] = size
    written = kept.tobytes() if len(kept) or details or kept.get_ifd(ExifTags.IFD.GPSInfo) else b''
    if len(written) > EXIF_LIMIT and details.pop(MAKER_NOTE, None) is not None:
        written = kept.tobytes()
    return written if len(written) <= EXIF_LIMIT else b''


def _read_by_tifffile(content: bytes, name: str, pixel_limit: int | None) -> Photo:
    """Reads a TIFF that Pillow does not support."""
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            pages = [page for page in file.pages if isinstance(page, tifffile.TiffPage)] or [file.pages.first]
            for page in pages:
                _refuse_raw({tag.code: tag.value for tag in page.tags}, name)
            page = max(pages, key=lambda page: page.imagewidth * page.imagelength)
            _check_size((page.imagewidth, page.imagelength), name, pixel_limit)
            if page.photometric not in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.MINISBLACK):
                colors = tifffile.PHOTOMETRIC(page.photometric).name
                raise RefusedImageError(f'{name} has an unsupported color type ({colors}): save it as RGB')
            array, axes, profile = page.asarray(), page.axes, page.tags.valueof(TAG_ICC)
            count = len(pages)
    except RefusedImageError:
        raise
    except Exception as error:
        raise _unreadable(content, name, error) from error
    array = np.moveaxis(array, 0, -1) if axes == 'SYX' else array
    photo = photo_of_array(array, name)
    photo.format, photo.has_profile = 'TIFF', profile is not None
    if count > 1:
        photo.notes.append(f'{name} has {count} pages: the largest is taken')
    if profile is not None:
        photo.pixels = np.array(_to_srgb(Image.fromarray(photo.pixels), profile, name, photo.notes))
    return photo


def output_format(name: str) -> str:
    """Pillow's name of an output format, given any of its names ('jpg', 'JPEG', '.tif').

    Raises:
        ValueError: If there is no such output format.
    """
    kind = name.upper().lstrip('.')
    kind = ALIASES.get(kind, kind)
    if kind not in OUTPUT_FORMATS or (kind == 'HEIF' and not _register_heif()):
        raise ValueError(f'format={name!r}: results can be written as {", ".join(OUTPUT_FORMATS).lower()} (heif with the package '
                         'pillow-heif)')
    return kind


def format_like(photo: Photo) -> str:
    """The format for a result like its input; PNG instead of formats that are not meant for photos, like GIF."""
    writable = photo.format in OUTPUT_FORMATS and (photo.format != 'HEIF' or _register_heif())
    return photo.format if writable and photo.format else 'PNG'


def result_name(name: str, kind: str) -> str:
    """The name of a result: that of its input, with another extension if that does not match the format."""
    path = Path(name)
    endings = OUTPUT_FORMATS[kind].endings
    return name if path.suffix.lower() in endings else str(path.with_suffix('')) + endings[0]


def write_photo(path: str | Path, pixels: np.ndarray, like: Photo, kind: str | None = None) -> None:
    """Writes a result, completely or not at all, with its input's alpha channel, EXIF and, if that had a profile, one for sRGB.

    Args:
        path (str | Path): The file; folders are created.
        pixels (np.ndarray): (H, W, 3), sRGB; uint8, or uint16 for 'PNG' and 'TIFF'.
        like (Photo): The input.
        kind (str, optional): Pillow's name of the format. Defaults to None: :func:`format_like`.

    Raises:
        OSError: If it cannot be written.
        ValueError: If the format does not support such an image.
    """
    kind = kind or format_like(like)
    form = OUTPUT_FORMATS[kind]
    alpha = like.alpha if form.alpha else None
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes() if like.has_profile and form.metadata else None
    exif = like.exif if form.metadata else b''
    try:
        if pixels.dtype == np.uint16:
            content = _encode_16_bits(pixels, alpha, kind, exif, profile)
        else:
            image = Image.fromarray(pixels if alpha is None else np.dstack([pixels, alpha]))
            options = dict(form.options)
            if exif:
                options['exif'] = exif
            if profile:
                options['icc_profile'] = profile
            buffer = io.BytesIO()
            image.save(buffer, kind, **options)
            content = buffer.getvalue()
    except Exception as error:  # Each encoder raises its own.
        height, width = pixels.shape[:2]
        raise ValueError(f'{path}: {width}x{height} pixels cannot be written as {kind} ({error}); choose another format, such as '
                         'png') from error
    with atomic_open(path) as file:
        file.write(content)


def _encode_16_bits(pixels: np.ndarray, alpha: np.ndarray | None, kind: str, exif: bytes, profile: bytes | None) -> bytes:
    """Pillow does not support 16-bit colors: OpenCV encodes PNG, tifffile TIFF (which cannot write EXIF)."""
    if kind not in DEEP_FORMATS:
        raise ValueError('16 bits per channel need the format png or tiff')
    if alpha is not None:
        pixels = np.dstack([pixels, alpha.astype(np.uint16) * 257])
    if kind == 'TIFF':
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, pixels, photometric='rgb', extrasamples=() if alpha is None else ('unassalpha', ), metadata=None,
                         compression='zlib', iccprofile=profile)
        return buffer.getvalue()
    order = cv2.COLOR_RGB2BGR if alpha is None else cv2.COLOR_RGBA2BGRA
    png = cv2.imencode('.png', cv2.cvtColor(pixels, order))[1].tobytes()
    end_of_header = 8 + 25  # the signature and the IHDR chunk, which these must follow
    chunks = _png_chunk(b'iCCP', b'sRGB\0\0' + zlib.compress(profile)) if profile else b''
    chunks += _png_chunk(b'eXIf', exif.removeprefix(b'Exif\0\0')) if exif else b''
    return png[:end_of_header] + chunks + png[end_of_header:]


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
