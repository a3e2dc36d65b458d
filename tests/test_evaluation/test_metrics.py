import json
import math

import cv2
import numpy as np
import pytest
from golden import shared
from tiny import evaluate, loader, report_of_test, sample, write_pairs

from mmskf.evaluation import NIQE, PSNR, SSIM, GTMean
from mmskf.registry import METRICS

PAIRS = ('1', '111', '493')
GTMEAN = dict(gray='gtmean_gray_rounded_uint8', llflow='gtmean_llflow_test')


def read_rgb(path):
    return cv2.imread(str(path))[..., ::-1]


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (40, 48, 3)).astype(np.uint8)


@pytest.fixture(params=PAIRS)
def golden_pair(request):
    """Figures of public implementations for an output and its reference, and the data sample of the two."""
    figures = json.loads(shared('golden/metrics.json').read_text())
    images = [read_rgb(shared(f'golden/images/{request.param}_{kind}.png')) for kind in ('drbn', 'llflow')]
    return figures['pairs'][request.param], figures['suggested_tolerance'], *images


def test_figures_of_the_papers_protocol(golden_pair):
    figures, tolerance, pred, gt = golden_pair
    assert evaluate(PSNR(), sample(pred, gt))['PSNR'] == pytest.approx(figures['skimage_psnr_rgb'], abs=tolerance['psnr'])
    ssim = evaluate(SSIM(), sample(pred, gt))['SSIM']
    assert ssim == pytest.approx(figures['skimage_ssim_rgb_7x7_uniform'], abs=tolerance['ssim'])


@pytest.mark.parametrize('mode', GTMEAN)
def test_figures_of_gt_mean(golden_pair, mode):
    figures, tolerance, pred, gt = golden_pair
    report = evaluate(GTMean([dict(type='PSNR'), dict(type='SSIM')], mode=mode), sample(pred, gt))
    assert list(report) == ['PSNR', f'PSNR ({mode} GT-mean)', 'SSIM', f'SSIM ({mode} GT-mean)']
    assert report['PSNR'] == pytest.approx(figures['skimage_psnr_rgb'], abs=tolerance['psnr'])
    corrected = figures[GTMEAN[mode]]
    assert report[f'PSNR ({mode} GT-mean)'] == pytest.approx(corrected['psnr'], abs=tolerance['gtmean_psnr'])
    assert report[f'SSIM ({mode} GT-mean)'] == pytest.approx(corrected['ssim'], abs=tolerance['ssim'])


def test_figures_of_niqe_without_ground_truth(golden_pair):
    figures, _, *images = golden_pair
    for name, image in zip(('niqe_drbn', 'niqe_llflow'), images):
        score = evaluate(NIQE(), sample(image))['NIQE']
        assert score == pytest.approx(figures[name]['mmagic_y'], abs=1e-3)
        assert score == pytest.approx(figures[name]['basicsr_y'], abs=0.05)
        gray = evaluate(NIQE(convert_to='gray'), sample(image))['NIQE']
        assert gray == pytest.approx(figures[name]['basicsr_gray'], abs=0.05)


def test_figures_of_mmagics_protocol(golden_pair):
    figures, tolerance, pred, gt = golden_pair
    psnr, ssim = METRICS.build(dict(type='mmagic.PSNR')), METRICS.build(dict(type='mmagic.SSIM'))
    assert evaluate(psnr, sample(pred, gt))['PSNR'] == pytest.approx(figures['mmagic_psnr_rgb'], abs=tolerance['psnr'])
    assert evaluate(ssim, sample(pred, gt))['SSIM'] == pytest.approx(figures['mmagic_ssim_rgb'], abs=tolerance['ssim'])


def test_psnr_of_an_offset(photo):
    gt = np.clip(photo, 0, 200)
    assert evaluate(PSNR(), sample(gt + 10, gt))['PSNR'] == pytest.approx(20 * math.log10(255 / 10))
    assert evaluate(PSNR(), sample(gt, gt))['PSNR'] == math.inf


def test_outputs_are_rounded_and_clipped_to_uint8(photo):
    noise = np.random.default_rng(1).uniform(-0.49, 0.49, photo.shape)
    assert evaluate(PSNR(), sample(photo + noise, photo))['PSNR'] == math.inf
    white = np.full_like(photo, 255)
    assert evaluate(PSNR(), sample(white + 300., white))['PSNR'] == math.inf


def test_ssim_of_constants(photo):
    a, b, c1 = 100, 140, (0.01 * 255)**2
    ssim = evaluate(SSIM(), sample(np.full_like(photo, a), np.full_like(photo, b)))['SSIM']
    assert ssim == pytest.approx((2 * a * b + c1) / (a**2 + b**2 + c1))
    assert evaluate(SSIM(), sample(photo, photo))['SSIM'] == pytest.approx(1)


def test_gt_mean_undoes_a_change_of_brightness(photo):
    gt = np.minimum(photo, 120)
    metric = GTMean([dict(type='PSNR')], mode='gray')
    report = evaluate(metric, sample(gt * 1.7, gt))
    assert report['PSNR'] < 15
    assert report['PSNR (gray GT-mean)'] == math.inf
    assert evaluate(GTMean([dict(type='PSNR')]), sample(photo, gt)).keys() == {'PSNR'}


@pytest.mark.parametrize('mode', GTMEAN)
def test_gt_mean_of_a_black_output_is_finite(photo, mode):
    report = evaluate(GTMean([dict(type='PSNR')], mode=mode), sample(np.zeros_like(photo), photo))
    assert report[f'PSNR ({mode} GT-mean)'] == pytest.approx(report['PSNR'])


@pytest.mark.parametrize('mode, channel, weight', [('gray', 0, 0.299), ('llflow', 0, 0.114), ('llflow', 2, 0.299)])
def test_channel_weights_of_gt_mean(mode, channel, weight):
    """A gray output takes the brightness of a pure colour; LLFlow's code swaps the weights of red and blue."""
    pred, gt = np.full((16, 16, 3), 100), np.zeros((16, 16, 3))
    gt[..., channel] = 200
    metric = GTMean([dict(type='PSNR')], mode=mode)
    scaled = np.full((16, 16, 3), (np.rint if mode == 'gray' else np.floor)(200 * weight))
    expected = 10 * math.log10(255**2 / np.mean((scaled - gt)**2))
    assert evaluate(metric, sample(pred, gt))[f'PSNR ({mode} GT-mean)'] == pytest.approx(expected, abs=1e-4)


def test_niqe_leaves_out_what_it_cannot_measure():
    random = np.random.default_rng(0)
    textured = cv2.GaussianBlur(random.integers(0, 256, (96, 192, 3)).astype(np.uint8), (5, 5), 1)
    alone = evaluate(NIQE(), sample(textured))['NIQE']
    assert np.isfinite(alone)
    metric = NIQE()
    report = evaluate(metric, sample(textured, path='a.png'), sample(textured[:, :191], path='small.png'),
                      sample(np.zeros_like(textured), path='black.png'))
    assert report['NIQE'] == pytest.approx(alone)
    assert metric.image_scores['small.png'] == metric.image_scores['black.png'] == {'NIQE': None}
    assert math.isnan(evaluate(NIQE(), sample(textured[:90]))['NIQE'])


def test_warning_counts_the_images_that_were_not_measured(photo, monkeypatch):
    messages = []
    monkeypatch.setattr('mmskf.evaluation.image_metric.print_log', lambda message, **kwargs: messages.append(message))
    evaluate(NIQE(), sample(photo, path='a.png'), sample(photo, path='b.png'))
    assert len(messages) == 1
    assert 'NIQE: 2 of 2 images' in messages[0] and 'a.png, b.png' in messages[0] and '96x96' in messages[0]


def test_missing_ground_truth_names_metric_file_and_mend(photo):
    with pytest.raises(KeyError, match='PSNR compares with ground truth.*LIME/3.bmp.*data_prefix.*NIQE'):
        evaluate(PSNR(), sample(photo, path='LIME/3.bmp'))


def test_sizes_that_differ_name_the_file(photo):
    with pytest.raises(ValueError, match='SSIM: the output for low/7.png is 48 x 40 .* 47 x 40'):
        evaluate(SSIM(), sample(photo, photo[:, 1:], path='low/7.png'))


def test_fields_are_checked():
    with pytest.raises(ValueError, match="mode is 'mean'.*'gray'"):
        GTMean([dict(type='PSNR')], mode='mean')
    with pytest.raises(TypeError, match='PSNR scores no single images'):
        GTMean([dict(type='mmagic.PSNR')], mode='gray')
    with pytest.raises(ValueError, match="convert_to is 'Y'"):
        NIQE(convert_to='Y')


def test_scores_of_several_processes_keep_their_names(photo):
    """Results of two processes, merged as mmengine does it: the order of the images is not that of one process."""
    ranks = [PSNR(), PSNR()]
    for index in range(4):
        gt = np.clip(photo, 0, 200)
        ranks[index % 2].process({}, [sample(gt + 2**index, gt, path=f'{index}.png')])
    main = PSNR()
    mean = main.compute_metrics(ranks[1].results + ranks[0].results)['PSNR']
    expected = {f'{index}.png': {'PSNR': pytest.approx(20 * math.log10(255 / 2**index))} for index in range(4)}
    assert main.image_scores == expected
    assert mean == pytest.approx(np.mean([20 * math.log10(255 / 2**index) for index in range(4)]))


def test_both_protocols_in_one_evaluator(tmp_path):
    """mmskf's and mmagic's metrics share a loop, and a plain list of metrics gets mmagic's evaluator."""
    folder = write_pairs(tmp_path / 'data')
    report = report_of_test(tmp_path / 'work', loader(folder, batch_size=2), [
        dict(type='PSNR'), dict(type='SSIM'), dict(type='NIQE'),
        dict(type='mmagic.PSNR', prefix='mmagic'), dict(type='mmagic.SSIM', prefix='mmagic')])
    assert {'PSNR', 'SSIM', 'NIQE', 'mmagic/PSNR', 'mmagic/SSIM'} <= report.keys()
    assert math.isnan(report['NIQE'])
    normal = [read_rgb(folder / 'normal' / name).astype(float) for name in ('1.png', '22.png', '111.png')]
    expected = np.mean([10 * math.log10(255**2 / np.mean((image % 2)**2)) for image in normal])
    assert report['PSNR'] == pytest.approx(expected, abs=1e-4)
    assert report['mmagic/PSNR'] == pytest.approx(expected, abs=1e-3)


def test_a_test_without_ground_truth(tmp_path):
    folder = write_pairs(tmp_path / 'data', names=['a.png'], size=(96, 192))
    report = report_of_test(tmp_path / 'work', loader(folder, gt=False), [dict(type='NIQE')])
    assert np.isfinite(report['NIQE'])
    with pytest.raises(KeyError, match='a.png'):
        report_of_test(tmp_path / 'other', loader(folder, gt=False), [dict(type='PSNR')])


def test_scores_of_outputs_made_with_the_ground_truth_have_a_note():
    """Every score: of metrics without ground truth too, inside a correction, in the report and for single images."""
    image = np.full((200, 200, 3), 100, np.uint8)
    corrected = GTMean([PSNR()], mode='gray')
    for metric, names in ((PSNR(), ['PSNR']), (NIQE(), ['NIQE']), (corrected, ['PSNR', 'PSNR (gray GT-mean)'])):
        marked = sample(image, image // 2)
        marked['output']['note'] = 'exposure from the ground truth'
        expected = {f'{name} (exposure from the ground truth)' for name in names}
        assert set(evaluate(metric, marked)) == expected
        assert set(metric.image_scores['low/1.png']) == expected
