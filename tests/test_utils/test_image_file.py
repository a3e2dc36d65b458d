import io
import struct
import sys
import zlib

import cv2
import numpy as np
import PIL
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms

from mmskf.utils.image_file import Photo, format_like, output_format, photo_of_array, read_photo, result_name, write_photo

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()


@pytest.fixture
def rgb():
    """Smooth, so that lossy formats change little."""
    ramp = np.linspace(0, 90, 32)
    return np.stack([ramp[None] + 0 * ramp[:24, None], ramp[None] / 2 + ramp[:24, None], ramp[:24, None] + 0 * ramp[None]],
                    axis=2).astype(np.uint8)


def encode(image, kind, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def wide_profile():
    """An RGB profile with the primaries of Display P3 and the curve of sRGB, as phones embed it."""
    def s15(*values):
        return b''.join(struct.pack('>i', round(value * 65536)) for value in values)

    # Columns of the matrix to XYZ (D50), of Display P3.
    columns = dict(rXYZ=(0.51512, 0.24120, -0.00105), gXYZ=(0.29198, 0.69225, 0.04189), bXYZ=(0.15710, 0.06657, 0.78407))
    tags = {name.encode(): b'XYZ \0\0\0\0' + s15(*values) for name, values in columns.items()}
    tags[b'wtpt'] = b'XYZ \0\0\0\0' + s15(0.9642, 1.0, 0.82491)
    curve = b'para\0\0\0\0\0\3\0\0' + s15(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    tags.update(dict.fromkeys((b'rTRC', b'gTRC', b'bTRC'), curve))
    text = b'Wide'
    tags[b'desc'] = b'desc\0\0\0\0' + struct.pack('>I', len(text) + 1) + text + b'\0' + bytes(78)
    tags[b'cprt'] = b'text\0\0\0\0none\0'
    table, body, offset = b'', b'', 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack('>II', offset + len(body), len(data))
        body += data
    size = offset + len(body)
    header = struct.pack('>I4sI4s4s4s', size, b'\0\0\0\0', 0x02400000, b'mntr', b'RGB ', b'XYZ ') + bytes(12) + b'acsp'
    header += bytes(68 - len(header)) + s15(0.9642, 1.0, 0.82491)
    return header + bytes(128 - len(header)) + struct.pack('>I', len(tags)) + table + body


@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'TIFF', 'WEBP'])
def test_colors_of_another_profile_become_srgb(kind):
    """Pure P3 (0.5, 0.25, 0.25 of light) by its published matrix to sRGB."""
    light = np.array([0.40, 0.25, 0.20])
    p3_to_srgb = np.array([[1.22494, -0.22494, 0.], [-0.04206, 1.04206, 0.], [-0.01964, -0.07864, 1.09827]])

    def encoded(values):
        return np.rint(255 * (1.055 * values**(1 / 2.4) - 0.055))

    image = np.broadcast_to(encoded(light).astype(np.uint8), (16, 16, 3))
    options = dict(JPEG=dict(quality=100, subsampling=0), WEBP=dict(lossless=True)).get(kind, {})
    photo = read_photo(encode(image, kind, icc_profile=wide_profile(), **options), 'p3')
    assert photo.has_profile and not photo.notes
    assert np.abs(photo.pixels.astype(int) - encoded(p3_to_srgb @ light)).max() <= 2
    assert not np.abs(photo.pixels.astype(int) - image).max() <= 2


def test_srgb_profile_changes_nothing(rgb):
    photo = read_photo(encode(rgb, 'PNG', icc_profile=SRGB), 'a')
    assert photo.has_profile and np.array_equal(photo.pixels, rgb)


def test_a_profile_that_cannot_be_used_is_told(rgb):
    for profile in (b'nonsense', SRGB[:200]):
        photo = read_photo(encode(rgb, 'PNG', icc_profile=profile), 'a.png')
        assert np.array_equal(photo.pixels, rgb) and 'color profile of a.png cannot be used' in photo.notes[0]


@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'TIFF', 'WEBP', 'AVIF'])
def test_written_like_the_input(tmp_path, rgb, kind):
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation] = 'Camera', 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.02
    exif.get_ifd(ExifTags.IFD.Exif)[0xa002] = rgb.shape[1]
    exif.get_ifd(ExifTags.IFD.GPSInfo)[1] = 'N'
    lossless = dict(WEBP=dict(lossless=True), AVIF=dict(quality=100, subsampling='4:4:4')).get(kind, {})
    photo = read_photo(encode(rgb, kind, exif=exif.tobytes(), icc_profile=SRGB, **lossless), 'a')
    upright = np.rot90(rgb, -1)
    assert photo.pixels.shape == upright.shape and np.abs(photo.pixels.astype(int) - upright).mean() < 3
    write_photo(tmp_path / 'sub' / 'a', photo.pixels, photo)
    with Image.open(tmp_path / 'sub' / 'a') as result:
        result.load()
        assert result.format == kind and result.size == (24, 32)
        assert np.abs(np.asarray(result).astype(int) - upright).mean() < 3
        assert 'sRGB' in ImageCms.ImageCmsProfile(io.BytesIO(result.info['icc_profile'])).profile.profile_description
        written = result.getexif()
        assert written[ExifTags.Base.Make] == 'Camera' and ExifTags.Base.Orientation not in written
        details = written.get_ifd(ExifTags.IFD.Exif)
        assert float(details[ExifTags.Base.ExposureTime]) == pytest.approx(0.02) and details[0xa002] == 24
        assert written.get_ifd(ExifTags.IFD.GPSInfo)[1] == 'N'


@pytest.mark.parametrize('kind', ['PNG', 'TIFF', 'WEBP'])
def test_alpha_is_kept(tmp_path, rgb, kind):
    alpha = np.arange(rgb[..., 0].size, dtype=np.uint8).reshape(rgb.shape[:2])
    photo = read_photo(encode(np.dstack([rgb, alpha]), kind, **(dict(lossless=True, exact=True) if kind == 'WEBP' else {})), 'a')
    assert np.array_equal(photo.alpha, alpha) and np.array_equal(photo.pixels, rgb)
    write_photo(tmp_path / 'a', photo.pixels, photo)
    with Image.open(tmp_path / 'a') as result:
        assert result.mode == 'RGBA' and np.array_equal(np.asarray(result.getchannel('A')), alpha)
    write_photo(tmp_path / 'b', photo.pixels, photo, 'JPEG')
    with Image.open(tmp_path / 'b') as result:
        assert result.mode == 'RGB'


def test_transparent_color_of_a_palette(rgb):
    image = Image.fromarray(rgb).quantize(8)
    photo = read_photo(encode(image, 'PNG', transparency=3), 'a')
    assert np.array_equal(photo.alpha == 0, np.asarray(image) == 3)
    assert np.array_equal(photo.pixels, np.asarray(image.convert('RGB')))


@pytest.mark.parametrize('kind', ['PNG', 'TIFF'])
@pytest.mark.parametrize('with_alpha', [False, True])
def test_16_bits_on_request(tmp_path, rgb, kind, with_alpha):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = 'Camera'
    deep = rgb.astype(np.uint16) * 300 + 7
    like = Photo(rgb, rgb[..., 0] if with_alpha else None, kind, exif.tobytes(), True)
    write_photo(tmp_path / 'a', deep, like)
    read = cv2.imread(str(tmp_path / 'a'), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint16 and np.array_equal(read[..., 2::-1], deep)
    if with_alpha:
        assert np.array_equal(read[..., 3], rgb[..., 0].astype(np.uint16) * 257)
    with Image.open(tmp_path / 'a') as result:
        result.load()
        assert 'icc_profile' in result.info
        assert kind == 'TIFF' or result.getexif()[ExifTags.Base.Make] == 'Camera'
    with pytest.raises(ValueError, match='16 bits per channel need the format png or tiff'):
        write_photo(tmp_path / 'b', deep, like, 'JPEG')
    assert not (tmp_path / 'b').exists()


def test_exif_that_is_damaged_costs_nothing_but_itself(rgb):
    good = encode(rgb, 'JPEG', exif=b'Exif\0\0II*\0\x08\0\0\0\xff\xff' + bytes(5))
    photo = read_photo(good, 'a.jpg')
    assert photo.pixels.shape == rgb.shape and photo.exif == b''


def test_a_maker_note_that_is_too_long_is_left_out(tmp_path, rgb):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = 'Camera'
    exif.get_ifd(ExifTags.IFD.Exif)[0x927c] = bytes(70000)
    photo = read_photo(encode(rgb, 'PNG', exif=exif.tobytes()), 'a.png')
    write_photo(tmp_path / 'a.jpg', photo.pixels, photo, 'JPEG')
    assert Image.open(tmp_path / 'a.jpg').getexif()[ExifTags.Base.Make] == 'Camera'


def test_largest_page_of_a_tiff(rgb):
    thumbnail = Image.fromarray(rgb[::4, ::4])
    photo = read_photo(encode(thumbnail, 'TIFF', save_all=True, append_images=[Image.fromarray(rgb), thumbnail]), 'a.tif')
    assert np.array_equal(photo.pixels, rgb) and photo.notes == ['a.tif has 3 pages: the largest is taken, page 2']


def test_animation(rgb):
    content = encode(Image.fromarray(rgb), 'PNG', save_all=True, append_images=[Image.fromarray(255 - rgb)])
    photo = read_photo(content, 'a.png')
    assert np.array_equal(photo.pixels, rgb) and photo.notes == ['a.png holds 2 pictures: the first is taken']


@pytest.mark.parametrize('kind', ['DNG', 'preview'])
def test_raw_files_are_refused_by_name(rgb, kind):
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        if kind == 'DNG':
            file.write(rgb, photometric='rgb', metadata=None, extratags=[(50706, 'B', 4, (1, 4, 0, 0), True)])
        else:  # as many cameras write them: a thumbnail, and the picture itself in an IFD below it
            file.write(rgb[::4, ::4], photometric='rgb', metadata=None, subfiletype=1, subifds=1)
            file.write(rgb[..., 0].astype(np.uint16), photometric=32803, metadata=None)
    with pytest.raises(ValueError, match='photo.dng is a raw file of a camera, which has to be developed first'):
        read_photo(buffer.getvalue(), 'photo.dng')


def test_raw_data_without_preview(rgb):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, rgb[..., 0].astype(np.uint16), photometric=32803, metadata=None)
    with pytest.raises(ValueError, match='raw file of a camera'):
        read_photo(buffer.getvalue(), 'a.tif')


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
@pytest.mark.parametrize('planar', ['contig', 'separate'])
def test_float_tiff(rgb, dtype, planar):
    buffer = io.BytesIO()
    values = rgb / 255 if planar == 'contig' else np.moveaxis(rgb / 255, 2, 0)
    tifffile.imwrite(buffer, values.astype(dtype), photometric='rgb', planarconfig=planar)
    photo = read_photo(buffer.getvalue(), 'a.tif')
    assert np.array_equal(photo.pixels, rgb) and photo.format == 'TIFF'
    tifffile.imwrite(buffer := io.BytesIO(), (values * 100).astype(dtype), photometric='rgb', planarconfig=planar)
    with pytest.raises(ValueError, match='a.tif holds float.* expected'):
        read_photo(buffer.getvalue(), 'a.tif')
    with pytest.raises(OSError, match='a.tif cannot be read as an image.*damaged'):
        read_photo(buffer.getvalue()[:200], 'a.tif')


def test_pixel_limit(rgb):
    content = encode(rgb, 'PNG')
    with pytest.raises(ValueError, match=r'a.png has 32x24 = 768 pixels, more than the limit of 767.*pixel_limit'):
        read_photo(content, 'a.png', pixel_limit=767)
    assert read_photo(content, 'a.png', pixel_limit=768).pixels.shape == rgb.shape
    # A header that lies: nobody waits for 40 gigapixels.
    header = struct.pack('>IIBBBBB', 200000, 200000, 8, 2, 0, 0, 0)
    bomb = content[:8] + struct.pack('>I', 13) + b'IHDR' + header + struct.pack('>I', zlib.crc32(b'IHDR' + header)) + content[33:]
    with pytest.raises(ValueError, match='200000x200000 = 40,000,000,000 pixels'):
        read_photo(bomb, 'bomb.png')
    assert Image.MAX_IMAGE_PIXELS == 89478485  # Pillow's own limit is as it was


def test_a_large_file_that_is_allowed(monkeypatch, rgb):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)  # Pillow itself would refuse it
    assert read_photo(encode(rgb, 'PNG'), 'a.png', pixel_limit=None).pixels.shape == rgb.shape


@pytest.mark.parametrize('content, message', [
    (b'', 'the file is empty.*damaged or incomplete'),
    (b'\0\0\0\x18ftypheic\0\0\0\0mif1heic' + bytes(99), 'HEIC photo, which needs one more package.*pip install pillow-heif'),
    (b'\0\0\0\x20ftypisom\0\0\2\0isomiso2' + bytes(99), 'it is a video'),
    (b'<!DOCTYPE html><html>404</html>', 'it is a web page'), (b'%!PS-Adobe-3.0 EPSF-3.0\n', 'it is a PostScript document'),
    (b'%PDF-1.5', 'it is a PDF document'), (b'\xff\x0a\xfa\x1f', 'it is JPEG XL'), (bytes(300), 'damaged or incomplete'),
])
def test_what_is_no_image(content, message, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)
    with pytest.raises(OSError, match='x.jpg .*' + message):
        read_photo(content, 'x.jpg')


def test_heic_where_the_package_is_there(tmp_path, rgb):
    pytest.importorskip('pillow_heif')
    write_photo(tmp_path / 'a.heic', rgb, Photo(rgb), output_format('heic'))
    photo = read_photo((tmp_path / 'a.heic').read_bytes(), 'a.heic')
    assert photo.format == 'HEIF' and format_like(photo) == 'HEIF'
    assert np.abs(photo.pixels.astype(int) - rgb).mean() < 3


@pytest.mark.parametrize('mode', ['1', 'L', 'P', 'LA', 'RGBA', 'CMYK', 'YCbCr', 'LAB', 'I;16', 'F'])
def test_modes(rgb, mode):
    if mode == 'YCbCr' and int(PIL.__version__.split('.')[0]) < 13:
        pytest.skip('before version 13, Pillow cannot read the TIFFs in YCbCr that it writes')
    gray = Image.fromarray(rgb).convert('L')
    if mode == 'I;16':
        image, expected = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257), np.asarray(gray)
    elif mode == 'F':
        image, expected = Image.fromarray(np.asarray(gray).astype(np.float32) / 255), np.asarray(gray)
    elif mode == 'LAB':
        image = ImageCms.profileToProfile(Image.fromarray(rgb), ImageCms.createProfile('sRGB'), ImageCms.createProfile('LAB'),
                                          outputMode='LAB')
        expected = None
    else:
        image = Image.fromarray(rgb).convert(mode)
        expected = np.asarray(image.convert('RGB'))
    photo = read_photo(encode(image, 'TIFF'), 'a')
    assert photo.pixels.dtype == np.uint8 and photo.pixels.shape == rgb.shape and not photo.notes
    if expected is None:  # 8 bits of LAB are coarse
        assert np.abs(photo.pixels.astype(int) - rgb).mean() < 4
    else:
        expected = np.repeat(expected[..., None], 3, axis=2) if expected.ndim == 2 else expected
        assert np.array_equal(photo.pixels, expected)


def test_32_bit_integers_are_no_image(rgb):
    with pytest.raises(ValueError, match='a.tif holds int32 values'):
        read_photo(encode(Image.fromarray(rgb[..., 0].astype(np.int32)), 'TIFF'), 'a.tif')


@pytest.mark.parametrize('channels', [0, 1, 2, 3, 4])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, '>u2', np.float16, np.float32, np.float64])
def test_arrays_follow_the_same_rules(rgb, channels, dtype):
    image = np.dstack([rgb, rgb[..., 1]])[..., :channels] if channels else rgb[..., 0]
    factor = {'u': {1: 1, 2: 257}, 'f': dict.fromkeys((2, 4, 8), 1 / 255)}[np.dtype(dtype).kind][np.dtype(dtype).itemsize]
    photo = photo_of_array((image * np.float64(factor)).astype(dtype), 'the array')
    assert np.array_equal(photo.pixels, np.repeat(image.reshape(24, 32, -1)[..., :1], 3, axis=2) if channels < 3 else rgb)
    if channels in (2, 4):
        assert np.array_equal(photo.alpha, image[..., -1])
    else:
        assert photo.alpha is None


@pytest.mark.parametrize('array, message', [
    (np.zeros((4, 4, 5), np.uint8), r'\(4, 4, 5\)'), (np.zeros((0, 4, 3), np.uint8), r'\(0, 4, 3\)'),
    (np.zeros(4, np.uint8), r'\(4,\)'), (np.full((4, 4), 200.), r'float64 values in \[200, 200\]'),
    (np.full((4, 4), np.nan), 'float64 values in .nan, nan'), (np.ones((4, 4), bool), 'bool values in'),
    (np.full((4, 4), 77), r'int64 values in \[77, 77\]'), (np.full((4, 4), 'a'), 'holds <U1'),
    (np.zeros((4, 4), complex), 'holds complex128')
])
def test_arrays_that_are_none(array, message):
    with pytest.raises(ValueError, match=message):
        photo_of_array(array, 'the array')


def test_names_of_results():
    assert result_name('b/IMG 1.JPG', 'JPEG') == 'b/IMG 1.JPG' and result_name('a.jpeg', 'PNG') == 'a.png'
    assert result_name('a.b.gif', 'PNG') == 'a.b.png' and result_name('noending', 'TIFF') == 'noending.tif'
    assert output_format('.jpg') == output_format('JPEG') == 'JPEG' and output_format('tif') == 'TIFF'
    with pytest.raises(ValueError, match="format='gif'.*png, jpeg"):
        output_format('gif')
    assert format_like(Photo(np.zeros((1, 1, 3), np.uint8), format='GIF')) == 'PNG'


def test_formats_say_what_they_cannot_hold(tmp_path):
    long = np.zeros((1, 70000, 3), np.uint8)
    with pytest.raises(ValueError, match='a.jpg: 70000x1 pixels cannot be written as JPEG .*choose another format'):
        write_photo(tmp_path / 'a.jpg', long, Photo(long), 'JPEG')
    assert not list(tmp_path.iterdir())


def test_checksums_of_png(rgb):
    """Pillow alone would make other pixels of these."""
    content = bytearray(encode(rgb, 'PNG'))
    at = content.index(b'IDAT') + 4
    size = struct.unpack('>I', content[at - 8:at - 4])[0]
    content[at + size // 2] ^= 8
    with pytest.raises(OSError, match='a.png cannot be read as an image .*damaged'):
        read_photo(bytes(content), 'a.png')
