"""Parts of the priors of whole images, against what the bank says of the crop, or against slices of the whole."""
import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from mmengine.dataset import Compose
from tiny_segmentor import SEGMENTOR

from mmskf.datasets.prior_cache import POSITIONS, PriorCache, PriorPipeline, View, interpolation, places_in, reduce
from mmskf.registry import MODELS, TRANSFORMS
from mmskf.structures import SemanticPrior, take_prior

HALF = dict(atol=1e-4, rtol=1e-3)  # a float16 has 11 bits
SIZE = (42, 54)  # no multiples of the strides
CROP = dict(type='RandomCrop', keys=['img', 'gt'], crop_size=32)
FLIPS = [
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='vertical'),
    dict(type='mmagic.RandomTransposeHW', keys=['img', 'gt'], transpose_ratio=0.5)]
PACK = dict(type='mmagic.PackInputs', meta_keys=['key'])


def make_bank(seed=0, **options):
    torch.manual_seed(seed)
    bank = MODELS.build(dict(type='SemanticKnowledgeBank', model=SEGMENTOR, **options))
    with pytest.warns(UserWarning, match='no checkpoint'):
        bank.load()
    return bank


@pytest.fixture(scope='module')
def bank():
    return make_bank()


@pytest.fixture(scope='module')
def image():
    """A smooth image (3, H, W), uint8."""
    coarse = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    return (F.interpolate(coarse, SIZE, mode='bicubic')[0].clamp(0, 1) * 255).byte()


@pytest.fixture
def stored(tmp_path, bank, image):
    """The prior of the whole image, and a cache that has it under the key 'image'."""
    cache = PriorCache(tmp_path / 'priors', bank.strides, bank.channels)
    with torch.no_grad():
        prior = bank(image[None] / 255)
    cache.write('image', prior)
    return prior, cache


def assert_close(prior, expected, **tolerance):
    assert prior.maps.keys() == expected.maps.keys()
    for name, value in expected.maps.items():
        torch.testing.assert_close(prior.maps[name].float(), value.float(), **tolerance)


def test_the_whole_image_has_the_priors_of_the_bank(stored):
    prior, cache = stored
    read = cache.read('image', View.of_whole(*SIZE))
    assert read.features[0].dtype == torch.float16
    whole = SemanticPrior([feature[0] for feature in prior.features], prior.logits[0])
    assert_close(SemanticPrior(read.features), SemanticPrior(whole.features), **HALF)
    # 42 rows are no multiple of 4, but the network resizes its scores from a quarter.
    torch.testing.assert_close(read.logits.float(), whole.logits, atol=2e-3 * whole.logits.abs().max().item(), rtol=0)


def test_crops_at_multiples_of_the_stride_are_slices(stored):
    prior, cache = stored
    read = cache.read('image', View(SIZE, np.arange(4, 36), np.arange(8, 40)))
    torch.testing.assert_close(read.features[0].float(), prior.features[0][0, :, 1:9, 2:10], **HALF)
    full = cache.read('image', View.of_whole(*SIZE)).logits
    torch.testing.assert_close(read.logits, full[:, 4:36, 8:40])
    assert [tuple(feature.shape[1:]) for feature in read.features] == [(8, 8), (4, 4), (2, 2), (1, 1)]


def test_other_crops_are_interpolated(stored):
    prior, cache = stored
    read = cache.read('image', View(SIZE, np.arange(5, 37), np.arange(8, 40))).features[0].float()
    finest = prior.features[0][0, :, :, 2:10]
    torch.testing.assert_close(read, 0.75 * finest[:, 1:9] + 0.25 * finest[:, 2:10], **HALF)


@pytest.mark.parametrize('rows, columns', [(1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize('transposed', [False, True])
def test_flips_of_a_crop_flip_its_maps(stored, rows, columns, transposed):
    _, cache = stored
    view = View(SIZE, np.arange(3, 35), np.arange(20, 52))
    plain = cache.read('image', view)
    flipped = cache.read('image', view._replace(rows=view.rows[::rows], columns=view.columns[::columns], transposed=transposed))
    for name, value in plain.maps.items():
        axes = [axis for axis, step in zip((1, 2), (rows, columns)) if step < 0]
        expected = value.flip(axes).transpose(1, 2) if transposed else value.flip(axes)
        torch.testing.assert_close(flipped.maps[name].float(), expected.float(), **HALF)


def test_a_linear_map_is_interpolated_exactly():
    """A map whose values are the positions of its pixels' middles in the image."""
    middles = (torch.arange(10) + 0.5) * 4 - 0.5
    pixels = np.arange(6, 30)
    read = interpolation(torch.from_numpy(places_in(pixels, 4, 1)), 10) @ middles
    assert read.tolist() == pixels.tolist()
    assert places_in(pixels[::-1], 4, 4).tolist() == places_in(pixels, 4, 4)[::-1].tolist()


@pytest.mark.parametrize('size', [(40, 56), (42, 54)])
def test_scores_are_stored_small_without_loss(size):
    small = torch.randn(1, 5, -(-size[0] // 4), -(-size[1] // 4), generator=torch.Generator().manual_seed(0))
    found = reduce(F.interpolate(small, size, mode='bilinear'), 4)
    assert (found - small).abs().max() < 0.02 * small.abs().max()
    assert torch.equal(reduce(small, 1), small)


def source(image):
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    return dict(img=pixels, gt=pixels.copy(), key='a')


def pipeline_of(*steps, cache):
    return PriorPipeline(Compose([TRANSFORMS.build(step) for step in steps]), cache)


LOAD = [dict(type='LoadImage', key='img'), dict(type='LoadImage', key='gt')]


@pytest.fixture
def pipeline(stored, image):
    _, cache = stored
    pipeline = pipeline_of(*LOAD, CROP, *FLIPS, PACK, cache=cache)
    cache.path('image').rename(cache.path(pipeline.whole(source(image))[0]))
    return pipeline


def test_samples_come_with_the_priors_of_their_pixels(pipeline, image):
    """Whatever crop and flips: the prior is that of the pixels' places, found by comparing with all possible crops."""
    key, size, whole = pipeline.whole(source(image))
    assert size == SIZE and torch.equal(whole['inputs'], image)
    for seed in range(8):
        np.random.seed(seed)
        packed = pipeline(source(image))
        sample = packed['data_samples']
        views = [View(SIZE, np.arange(y, y + 32)[::rows], np.arange(x, x + 32)[::columns], transposed)
                 for y in range(SIZE[0] - 31) for x in range(SIZE[1] - 31) for rows in (1, -1) for columns in (1, -1)
                 for transposed in (False, True)]
        view, = [view for view in views if torch.equal(seen_in(view, image), packed['inputs'])]
        assert_close(take_prior(sample), pipeline.cache.read(key, view), rtol=0, atol=0)
        assert torch.equal(sample.gt_img, packed['inputs']) and POSITIONS not in sample
        np.random.seed(seed)
        plain = Compose([TRANSFORMS.build(step) for step in (*LOAD, CROP, *FLIPS, PACK)])(source(image))
        assert torch.equal(plain['inputs'], packed['inputs'])  # the same random numbers


def seen_in(view, image):
    crop = image[:, view.rows.copy()][:, :, view.columns.copy()]
    return crop.transpose(1, 2) if view.transposed else crop


def test_a_stretched_and_equalized_image_is_cached_as_it_is_then(stored, image):
    _, cache = stored
    equalized = pipeline_of(*LOAD, dict(type='AppendEqualized'), CROP, PACK, cache=cache)
    stretched = pipeline_of(*LOAD, dict(type='StretchRange', keys=['img', 'gt']), CROP, PACK, cache=cache)
    plain = pipeline_of(*LOAD, CROP, PACK, cache=cache)
    keys = [each.whole(source(image))[0] for each in (plain, equalized, stretched)]
    assert keys[0] == keys[1] != keys[2]
    assert equalized.whole(source(image))[2]['inputs'].shape == (6, *SIZE)


@pytest.mark.parametrize('steps, message', [
    ([*LOAD, dict(type='mmagic.RandomBlur', params={}, keys=['img']), CROP, PACK], 'RandomBlur, step 3 .* before the first crop'),
    ([*LOAD, CROP, dict(type='StretchRange', keys=['img', 'gt']), PACK], 'StretchRange, step 4 .* after the first crop'),
    ([*LOAD, CROP, dict(type='mmagic.Resize', scale=(8, 8), keys=['img']), PACK], 'Resize, step 4'),
    ([*LOAD, CROP], 'ends with RandomCrop, but PriorCacheHook needs PackInputs'),
])
def test_pipelines_whose_priors_cannot_be_cached(stored, steps, message):
    with pytest.raises(ValueError, match=message):
        pipeline_of(*steps, cache=stored[1])


def test_steps_that_leave_the_low_light_image_alone_are_free(stored):
    pipeline_of(*LOAD, CROP, dict(type='mmagic.Resize', scale=(8, 8), keys=['gt']), PACK, cache=stored[1])


def test_keys_are_those_of_pixels(image):
    pixels = image.permute(1, 2, 0).numpy()
    key = PriorCache.key(pixels, 'rgb')
    assert key == PriorCache.key(np.dstack([pixels, pixels]), 'rgb')
    other = pixels.copy()
    other[3, 4, 1] ^= 1
    assert len({key, PriorCache.key(pixels, 'bgr'), PriorCache.key(other, 'rgb'), PriorCache.key(pixels[:-1], 'rgb')}) == 4


def test_the_bank_is_known_by_what_it_computes(bank):
    known = bank.fingerprint()
    assert known == make_bank().fingerprint() == make_bank(save_weights=True).fingerprint()
    assert known != make_bank(seed=1).fingerprint()
    assert known != make_bank(mean_std=None).fingerprint()
    aligned = dict(SEGMENTOR, decode_head=dict(SEGMENTOR['decode_head'], align_corners=True))
    torch.manual_seed(0)
    other = MODELS.build(dict(type='SemanticKnowledgeBank', model=aligned))
    other.loaded = True
    assert known != other.fingerprint()


def test_files_that_are_not_whole(stored, image):
    prior, cache = stored
    assert cache.has('image') and not cache.has('other')
    content = cache.path('image').read_bytes()
    assert abs(len(content) - cache.num_bytes(SIZE)) < 1000
    features = PriorCache(cache.folder, list(cache.strides.values())[:4], dict(enumerate((4, 8, 16, 32))))
    assert features.has('image') and features.read('image', View.of_whole(*SIZE)).logits is None
    features.write('image', prior)
    assert features.has('image') and not cache.has('image')  # it lacks the class scores
    for torn in (b'', content[:20], content[:-10]):
        cache.path('image').write_bytes(torn)
        assert not cache.has('image')
        with pytest.raises(OSError, match='lost the prior of a training image, or the image has changed'):
            cache.read('image', View.of_whole(*SIZE))
    cache.write('image', prior)
    content = cache.path('image').read_bytes()
    cache.path('image').write_bytes(content[:-10] + bytes(10))
    assert not cache.has('image')  # its checksum is another
    cache.write('image', prior)
    assert cache.has('image')
    assert safetensors.torch.load_file(cache.path('image')).keys() == {'0', '1', '2', '3', 'logits'}


def test_values_beyond_float16(stored):
    prior, cache = stored
    with pytest.raises(ValueError, match='above 65504, or NaN, in 0 of a training image'):
        cache.write('image', SemanticPrior([feature * 1e9 for feature in prior.features], prior.logits))
