import re
import weakref

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmskf.apis import DEFAULT_MODEL, SKFInferencer, init_model
from mmskf.structures import SemanticPrior
from mmskf.utils.image import linear_to_srgb, srgb_to_linear
from mmskf.utils.photos import ResultFolder, Source


@pytest.fixture(scope='module')
def enhance():
    return SKFInferencer(init_model('drbn_lol'), device='cpu')


def expected(model, image):
    tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())[None] / 255
    with torch.no_grad():
        return (model(tensor)[0] * 255).clamp(0, 255).round().byte().numpy().transpose(1, 2, 0)


@pytest.mark.parametrize('size', [(40, 60), (37, 53), (3, 5)])
def test_arrays_of_any_size(enhance, size):
    image = np.random.default_rng(0).integers(0, 60, (*size, 3), dtype=np.uint8)
    result, = enhance(image)['predictions']
    assert result.dtype == np.uint8 and result.shape == image.shape
    assert np.array_equal(result, expected(enhance.model, image))


def test_files_folders_and_arrays(enhance, pairs, tmp_path):
    folder = pairs / 'test' / 'low'
    files = sorted(folder.iterdir())
    array = np.asarray(Image.open(files[0]))
    results = enhance([folder, str(files[0]), array], out_dir=tmp_path / 'out')['predictions']
    assert len(results) == 4
    assert np.array_equal(results[0], results[2]) and np.array_equal(results[0], results[3])
    assert not np.array_equal(results[0], results[1])
    assert np.array_equal(np.asarray(Image.open(tmp_path / 'out' / '1.png')), results[1])


def test_gray_and_alpha_and_16_bit_arrays(enhance):
    image = np.random.default_rng(0).integers(0, 60, (8, 12, 3), dtype=np.uint8)
    plain, = enhance(image)['predictions']
    alpha = np.concatenate([image, np.full((8, 12, 1), 7, np.uint8)], axis=2)
    assert np.array_equal(enhance(alpha)['predictions'][0], plain)
    assert np.array_equal(enhance(image.astype(np.uint16) * 257)['predictions'][0], plain)
    gray, = enhance(image[..., 0])['predictions']
    assert np.array_equal(gray, enhance(np.repeat(image[..., :1], 3, axis=2))['predictions'][0])


@pytest.mark.parametrize('name', ['drbn_lol', 'llflow_s_lol'])
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_an_output_that_is_not_finite_is_no_black_picture(pairs, tmp_path, name, value):
    enhance = SKFInferencer(init_model(name), device='cpu')
    with torch.no_grad():
        list(enhance.model.generator.parameters())[-1][0] = value
    with pytest.raises(FloatingPointError, match=f'for the image {pairs}/test/low/0.png is NaN or infinite'):
        enhance(pairs / 'test' / 'low' / '0.png', out_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_and_with_a_single_pixel(enhance):
    assert enhance(np.zeros((1, 1, 3), np.uint8))['predictions'][0].shape == (1, 1, 3)
    with pytest.warns(UserWarning, match='There is nothing to enhance'):
        assert enhance([]) == dict(predictions=[], failures=[], visualization=[])


@pytest.mark.parametrize('array, message', [
    (np.full((4, 4, 3), 200, np.float32), 'float32'),
    (np.zeros((3, 4, 4, 3), np.uint8), r'\(3, 4, 4, 3\)'),
    (np.zeros((4, 4, 5), np.uint8), r'\(4, 4, 5\)'),
])
def test_arrays_that_are_no_images(enhance, array, message):
    with pytest.raises(ValueError, match=message):
        enhance(array)


def test_weights_of_a_model_that_is_there(tmp_path):
    model, other = init_model('drbn_lol'), init_model('drbn_lol')
    torch.save(dict(state_dict=other.state_dict()), tmp_path / 'other.pth')
    image = np.full((8, 8, 3), 30, np.uint8)
    result, = SKFInferencer(model, tmp_path / 'other.pth', 'cpu')(image)['predictions']
    assert np.array_equal(result, expected(other, image))
    assert model.data_preprocessor.data_keys == ['gt_img']  # its training goes on as before
    with pytest.raises(FileNotFoundError):
        SKFInferencer(model, tmp_path / 'nowhere.pth', 'cpu')


def test_no_weights():
    with pytest.warns(UserWarning, match='drbn_lol was given no weights'):
        SKFInferencer('drbn_lol', device='cpu')


def test_methods_without_weights_need_none(recwarn):
    image = np.random.default_rng(0).integers(0, 60, (16, 24, 3), dtype=np.uint8)
    enhance = SKFInferencer('gamma', device='cpu')
    assert not [warning for warning in recwarn if 'weights' in str(warning.message)]
    result, = enhance(image)['predictions']
    assert np.abs(result - 255 * (image / 255)**(1 / 2.2)).max() <= 0.501
    result, = SKFInferencer('lime', device='cpu')(image)['predictions']
    assert np.array_equal(result, expected(init_model('lime'), image)) and result.mean() > 1.5 * image.mean()


def test_same_names_from_several_folders(enhance, pairs, tmp_path):
    array = np.asarray(Image.open(pairs / 'test' / 'low' / '0.png'))
    paths = [tmp_path / name for name in ('x/a.png', 'y/a.png', 'y/a_2.png')]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(array).save(path)
    enhance(paths, out_dir=tmp_path / 'out')
    assert len(list((tmp_path / 'out').iterdir())) == 3


def test_missing_and_damaged_files(enhance, pairs, tmp_path):
    with pytest.raises(FileNotFoundError, match='no file or folder .*nowhere.png'):
        enhance(tmp_path / 'nowhere.png')
    with pytest.raises(FileNotFoundError, match='contains no image'):
        enhance(tmp_path)
    content = next((pairs / 'test' / 'low').iterdir()).read_bytes()
    (tmp_path / 'half.png').write_bytes(content[:len(content) // 2])
    with pytest.raises(OSError, match='half.png cannot be read'):
        enhance(tmp_path / 'half.png')


def save(path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((8, 12, 3), 40, np.uint8) if image is None else image
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())


@pytest.fixture
def simple():
    """Doubles the light of a photo, more or less, and needs no weights."""
    return SKFInferencer('gamma', device='cpu', show_progress=False)


def test_model_without_a_name():
    assert SKFInferencer().cfg.filename.endswith(f'{DEFAULT_MODEL}.py')
    with pytest.raises(ValueError, match='a.pth was given without the model'):
        SKFInferencer(weights='a.pth')


def test_a_failure_costs_only_itself(simple, tmp_path):
    noise = np.random.default_rng(0).integers(0, 60, (8, 12, 3), dtype=np.uint8)
    good, other = save(tmp_path / 'a.png', noise), save(tmp_path / 'c.png')
    broken = tmp_path / 'b.png'
    broken.write_bytes(good.read_bytes()[:200])
    inputs = [good, broken, tmp_path / 'nowhere.png', np.zeros((3, 3, 7), np.uint8), 5, other]
    results = simple(inputs, out_dir=tmp_path / 'out')
    assert [image is not None for image in results['predictions']] == [True, False, False, False, False, True]
    assert [given for given, _ in results['failures']] == [str(broken), str(tmp_path / 'nowhere.png'), inputs[3], 5]
    reasons = [reason for _, reason in results['failures']]
    messages = ('b.png cannot be read', 'no file or folder .*nowhere.png', r'array at 3 .*\(3, 3, 7\)', 'of type int')
    for reason, text in zip(reasons, messages):
        assert re.search(text, reason)
    assert files_below(tmp_path / 'out') == ['a.png', 'c.png']
    with pytest.raises(OSError, match='b.png cannot be read'):
        simple(inputs, fail_fast=True)
    assert simple([broken])['predictions'] == [None] and simple(broken, fail_fast=False)['predictions'] == [None]


def test_folder_with_its_tree(simple, tmp_path):
    for name in ('a.png', 'x/a.png', 'x/y/B.JPG', 'x/c.gif', '._a.png', '.hidden/d.png', 'notes.txt'):
        save(tmp_path / 'in' / name, **({} if name[-3:] != 'txt' else dict(format='png')))
    expected = ['a.png', 'x/a.png', 'x/c.png', 'x/y/B.JPG']
    assert len(simple(tmp_path / 'in', out_dir=tmp_path / 'out')['predictions']) == 4
    assert files_below(tmp_path / 'out') == expected
    for _ in range(2):  # results inside of the folder of the inputs are no inputs
        assert len(simple(str(tmp_path / 'in'), out_dir=tmp_path / 'in' / 'out')['predictions']) == 4
    assert files_below(tmp_path / 'in' / 'out') == expected


def test_patterns(simple, tmp_path):
    for name in ('a/1.png', 'a/b/2.png', 'a/3.jpg', 'odd[1].png'):
        save(tmp_path / name)
    assert len(simple(str(tmp_path / 'a' / '**' / '*.png'), out_dir=tmp_path / 'out')['predictions']) == 2
    assert files_below(tmp_path / 'out') == ['1.png', 'b/2.png']
    assert len(simple(str(tmp_path / 'odd[1].png'))['predictions']) == 1
    with pytest.raises(FileNotFoundError, match=r'No file matches .*\*.bmp'):
        simple(str(tmp_path / '*.bmp'))


@pytest.mark.parametrize('target', ['same', 'link', 'parent'])
def test_originals_are_never_replaced(simple, tmp_path, target):
    photos = [save(tmp_path / 'd' / name) for name in ('photo.png', 'x/photo.jpg')]
    content = [path.read_bytes() for path in photos]
    (tmp_path / 'link').symlink_to(tmp_path / 'd')
    out = dict(same=tmp_path / 'd', link=tmp_path / 'link', parent=tmp_path / 'd' / 'x' / '..')[target]
    for inputs in (tmp_path / 'd', photos[0], photos):
        if inputs is photos and target == 'same':
            continue
        with pytest.raises(FileExistsError, match='is one of the originals'):
            simple(inputs, out_dir=out)
    assert [path.read_bytes() for path in photos] == content and len(files_below(tmp_path / 'd')) == 2
    simple(photos[0], out_dir=tmp_path / 'd', format='tiff')  # beside them is fine, where nothing is
    assert files_below(tmp_path / 'd') == ['photo.png', 'photo.tif', 'x/photo.jpg']
    with pytest.raises(FileExistsError, match='photo.tif is in the folder of the originals'):
        simple(photos[0], out_dir=tmp_path / 'd', format='tiff')


def test_a_wrong_ending_does_not_lead_to_an_original(simple, tmp_path):
    """Only reading it shows that the result of y/x.png, a JPEG, is x.jpg."""
    first, second = save(tmp_path / 'y' / 'x.png', format='jpeg'), save(tmp_path / 'x.jpg')
    results = simple([first, second], out_dir=tmp_path / 'out')
    assert not results['failures'] and files_below(tmp_path / 'out') == ['x.jpg', 'x_2.jpg']
    sources = [Source(str(first), 'first', 'x.png'), Source(str(second), 'second', 'elsewhere/x.jpg')]
    photo = sources[0].read()
    with pytest.raises(FileExistsError, match='x.jpg is one of the originals'):
        ResultFolder(tmp_path, sources).write(sources[0], photo.pixels, photo)


def test_results_are_like_their_inputs(simple, tmp_path):
    rgba = np.random.default_rng(0).integers(0, 60, (8, 12, 4), dtype=np.uint8)
    save(tmp_path / 'a.webp', rgba, lossless=True, exact=True)
    result, = simple([tmp_path / 'a.webp'], out_dir=tmp_path / 'out')['predictions']
    with Image.open(tmp_path / 'out' / 'a.webp') as image:
        assert image.format == 'WEBP' and np.array_equal(np.asarray(image)[..., 3], rgba[..., 3])
    simple(rgba, out_dir=tmp_path / 'out')
    with Image.open(tmp_path / 'out' / '0000.png') as image:
        assert np.array_equal(np.asarray(image), np.dstack([result, rgba[..., 3]]))
    simple(tmp_path / 'a.webp', out_dir=tmp_path / 'out', format='png', bits=16)
    deep = cv2.imread(str(tmp_path / 'out' / 'a.png'), cv2.IMREAD_UNCHANGED)[..., 2::-1]
    expected = (rgba[..., :3] / 255)**(1 / 2.2) * 65535
    assert deep.dtype == np.uint16 and np.abs(deep - expected).max() < 1


def test_what_is_wrong_with_a_call_is_said_before_anything_is_done(simple, tmp_path):
    image = np.zeros((4, 4, 3), np.uint8)
    for options, message in ((dict(strength=1.5), 'strength is 1.5'), (dict(bits=12), 'bits=12'),
                             (dict(format='gif'), "format='gif'"),
                             (dict(class_strength=dict(moon=0.5)), 'class_strength names moon.*sky, building'),
                             (dict(class_strength=dict(sky=-1)), 'strength is -1'), (dict(sharpen=True), 'unknown argument')):
        with pytest.raises(ValueError, match=message):
            simple.stream(image, out_dir=tmp_path, **options)
    with pytest.raises(ValueError, match='max_pixels=-5'):
        SKFInferencer('gamma', max_pixels=-5)


def test_stream_holds_one_result_at_a_time(simple, tmp_path):
    for number in range(4):
        save(tmp_path / f'{number}.png')
    alive = []
    for number, result in enumerate(simple.stream(tmp_path, out_dir=tmp_path / 'out')):
        assert result.path == tmp_path / 'out' / f'{number}.png' and result.reason is None
        assert not [reference for reference in alive[:-1] if reference() is not None]
        alive.append(weakref.ref(result.enhanced))
    assert len(alive) == 4


def test_batches_give_the_same(enhance):
    images = [np.random.default_rng(i).integers(0, 60, (20, 24 if i < 3 else 28, 3), dtype=np.uint8) for i in range(5)]
    images.insert(2, np.zeros((2, 2, 9), np.uint8))
    one, several = enhance(images), enhance(images, batch_size=4)
    assert [reason for _, reason in several['failures']] == [reason for _, reason in one['failures']]
    assert len(one['failures']) == 1
    for first, second in zip(one['predictions'], several['predictions']):
        assert first is second is None or np.abs(first.astype(int) - second).max() <= 1


def test_a_batch_that_fails_is_done_one_by_one(simple, monkeypatch):
    step = simple.model.test_step
    calls = []

    def failing(data):
        calls.append(len(data['inputs']))
        if any((image == 7).all() for image in data['inputs']):
            raise RuntimeError('bad luck')
        return step(data)

    monkeypatch.setattr(simple.model, 'test_step', failing)
    results = simple([np.full((4, 4, 3), value, np.uint8) for value in (5, 7, 9)], batch_size=3)
    assert calls == [3, 1, 1, 1] and [image is None for image in results['predictions']] == [False, True, False]
    assert results['failures'][0][1] == 'The array at 1: bad luck'


def test_memory_that_is_not_enough_is_told_with_the_file(simple, monkeypatch, tmp_path):
    def failing(data):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried ...")

    monkeypatch.setattr(simple.model, 'test_step', failing)
    (_, reason), = simple([save(tmp_path / 'a.png')])['failures']
    assert re.search(r'a.png: The memory is not enough for 12x8 pixels.*max_pixels \(--max-pixels\)', reason)


def test_half_precision_on_a_cpu(pairs):
    model = init_model('drbn_lol')
    plain, amp = (SKFInferencer(model, device='cpu', amp=amp)(pairs / 'test' / 'low')['predictions'] for amp in (False, True))
    assert all(0 < np.abs(a.astype(int) - b).max() <= 3 for a, b in zip(plain, amp))


def test_strength(simple):
    image = np.random.default_rng(0).integers(0, 60, (8, 12, 3), dtype=np.uint8)
    full, none, half = (simple(image, strength=strength)['predictions'][0] for strength in (1, 0, 0.5))
    assert np.array_equal(none, image)
    light = (srgb_to_linear(image / 255) + srgb_to_linear(full / 255)) / 2
    assert np.abs(half - 255 * linear_to_srgb(light)).max() < 1.5  # full is rounded here


def test_strength_by_class_and_pictures(tmp_path):
    """With a bank that knows the left from the right."""
    class LeftRight(torch.nn.Module):
        name, checkpoint, num_classes, loaded = 'skb.model', None, 2, True

        def forward(self, image):
            right = torch.linspace(-1, 1, image.shape[-1]).expand(len(image), 1, *image.shape[-2:])
            return SemanticPrior([], torch.cat([-right, right], dim=1))

    enhance = SKFInferencer('gamma', device='cpu', show_progress=False)
    enhance._bank, enhance._classes = LeftRight(), ['left', 'right']
    image = np.full((40, 60, 3), 20, np.uint8)
    results = enhance([image], out_dir=tmp_path, class_strength=dict(left=0.), side_by_side=True, semantic_map=True)
    prediction, pictures = results['predictions'][0], results['visualization'][0]
    full, = enhance([image])['predictions']
    assert (prediction[:, :20] == 20).all() and np.array_equal(prediction[:, 40:], full[:, 40:])
    middle = prediction[20, 26:34, 0].astype(int)
    assert (np.diff(middle) >= 0).all() and 20 < middle[3] < full[0, 0, 0]  # feathered
    assert np.array_equal(pictures['side_by_side'][:, :60], image)
    assert np.array_equal(pictures['side_by_side'][:, -60:], prediction)
    overlay = pictures['semantic_map'][:40].astype(int)
    assert (overlay[:, :30] == overlay[0, 0]).all() and (overlay[:, 30:] == overlay[0, 30]).all()
    assert (overlay[0, 0] != overlay[0, 30]).any()
    legend = pictures['semantic_map'][40:]
    assert len(legend) and legend.min() == 0  # black letters
    assert files_below(tmp_path) == ['0000.png', 'semantic_map/0000.png', 'side_by_side/0000.png']


@pytest.mark.parametrize('batch_size', [0, 1.5, '2'])
def test_batch_sizes_that_are_none(simple, batch_size):
    """Otherwise a batch would never be full, and hold all photos."""
    with pytest.raises(ValueError, match=f'batch_size={batch_size!r}: expected 1 or more'):
        simple.stream([np.zeros((4, 4, 3), np.uint8)], batch_size=batch_size)


def test_the_bank_of_mmskf_knows_its_classes():
    enhance = SKFInferencer('gamma', device='cpu')
    assert enhance.classes[:4] == ['sky', 'building', 'pole', 'road'] and len(enhance.classes) == 11
    street = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    labels = enhance.labels(street)
    assert labels.shape == (70, 90) and labels.dtype == np.int64 and 0 <= labels.min() and labels.max() < 11


def test_large_photos_come_in_tiles(monkeypatch):
    model = init_model('drbn_lol')
    sizes = []
    generate = model.generate
    monkeypatch.setattr(model, 'generate', lambda inputs, *args, **kwargs: sizes.append(inputs.shape[-2:].numel())
                        or generate(inputs, *args, **kwargs))
    image = np.random.default_rng(0).integers(0, 60, (300, 420, 3), dtype=np.uint8)
    whole, tiled = (SKFInferencer(model, device='cpu', max_pixels=limit)(image)['predictions'][0] for limit in (0, 50_000))
    assert sizes[0] == 300 * 420 and max(sizes[1:]) <= 50_000 and len(sizes) > 4
    assert np.abs(whole.astype(int) - tiled).mean() < 0.5 and np.abs(whole.astype(int) - tiled).max() <= 2
    assert model.max_pixels is None  # whoever else has the model gets it as it was
