import csv
import math

import cv2
import numpy as np
import pytest
import torch
from tiny import TinyEditor, loader, report_of_test, runner_for_training, write_pairs

from mmskf.engine.hooks.image_names import names_below_common_folder
from mmskf.engine.hooks.save_images_hook import output_files
from mmskf.evaluation import NOT_MEASURED

NONFINITE = [dict(type='NonFiniteLossHook')]


def last_good(work_dir):
    """The checkpoint that a resumed training would take, and whether its weights are finite."""
    path = (work_dir / 'last_checkpoint').read_text()
    weights = torch.load(path)['state_dict']
    return path, all(weight.isfinite().all() for weight in weights.values())


@pytest.fixture
def pairs(tmp_path):
    return write_pairs(tmp_path / 'data')


@pytest.mark.parametrize('value', [math.nan, math.inf])
@pytest.mark.parametrize('keep', [-1, 1])
def test_a_loss_that_is_not_finite_stops_the_training(tmp_path, pairs, value, keep):
    runner = runner_for_training(tmp_path / 'work', pairs, NONFINITE, checkpoint=dict(interval=1, max_keep_ckpts=keep))
    runner.model.spoil = lambda losses, iteration: dict(
        loss_pix=losses['loss'], loss_hist=losses['loss'] * (value if iteration == 3 else 1))
    with pytest.raises(FloatingPointError, match=rf'Iteration 3: (loss is {value}, )?loss_hist is {value}.*iter_2\.pth'):
        runner.train()
    path, finite = last_good(tmp_path / 'work')
    assert path.endswith('iter_2.pth') and finite
    assert not (tmp_path / 'work' / 'iter_3.pth').exists()


@pytest.mark.parametrize('keep', [-1, 1])
def test_weights_broken_by_a_finite_loss_are_not_saved(tmp_path, pairs, keep):
    """The loss of iteration 3 is finite, its gradient is not; with max_keep_ckpts=1, saving would delete iter_2 first."""
    runner = runner_for_training(tmp_path / 'work', pairs, NONFINITE, checkpoint=dict(interval=1, max_keep_ckpts=keep))
    weight = runner.model.generator.weight
    runner.model.spoil = lambda losses, iteration: dict(
        loss=losses['loss'] + (torch.sqrt((weight - weight).sum()) if iteration == 3 else 0))
    with pytest.raises(FloatingPointError, match=r'Iteration 3: the update left NaN .*generator\.weight.*iter_2\.pth'):
        runner.train()
    path, finite = last_good(tmp_path / 'work')
    assert path.endswith('iter_2.pth') and finite


def test_no_checkpoint_before_the_first_loss_that_is_not_finite(tmp_path, pairs):
    runner = runner_for_training(tmp_path / 'work', pairs, NONFINITE)
    runner.model.spoil = lambda losses, iteration: dict(loss=losses['loss'] * math.nan)
    with pytest.raises(FloatingPointError, match='Iteration 1: loss is nan.*no checkpoint had been saved'):
        runner.train()
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_a_checkpoint_with_broken_weights_is_refused(tmp_path, pairs):
    runner = runner_for_training(tmp_path / 'work', pairs, NONFINITE)
    runner.train()
    runner.model.generator.bias.data[1] = math.inf
    with pytest.raises(FloatingPointError, match=r'generator\.bias.*iter_4\.pth'):
        runner.save_checkpoint(str(tmp_path / 'work'), 'broken.pth')
    assert not (tmp_path / 'work' / 'broken.pth').exists()


def test_a_finite_training_ends(tmp_path, pairs):
    runner_for_training(tmp_path / 'work', pairs, NONFINITE).train()
    assert last_good(tmp_path / 'work') == (str(tmp_path / 'work' / 'iter_4.pth'), True)


def read(path):
    with open(path) as file:
        return list(csv.reader(file))


def test_scores_of_every_image(tmp_path):
    """Two data sets with images of the same name, several metrics: one row an image, the report in the last row."""
    for name in ('LIME', 'NPE'):
        write_pairs(tmp_path / name, names=['1.png', 'sub/2.png'], seed=len(name))
    out_file = tmp_path / 'results' / 'scores.csv'
    evaluators = [
        dict(type='Evaluator', metrics=[dict(type='GTMean', mode='gray', metrics=[dict(type='PSNR')], prefix='LIME')]),
        dict(type='Evaluator', metrics=[dict(type='PSNR', prefix='NPE'), dict(type='NIQE', prefix='NPE')])]
    report = report_of_test(
        tmp_path / 'work', [loader(tmp_path / name, recursive=True) for name in ('LIME', 'NPE')], evaluators,
        hooks=[dict(type='PerImageScoresHook', out_file=str(out_file))])
    header, *rows, mean = read(out_file)
    columns = ['LIME/PSNR', 'LIME/PSNR (gray GT-mean)', 'NPE/PSNR', 'NPE/NIQE']
    assert header == ['image', *columns]
    assert [row[0] for row in rows] == ['LIME/low/1.png', 'LIME/low/sub/2.png', 'NPE/low/1.png', 'NPE/low/sub/2.png']
    for name, *cells in rows:
        normal = cv2.imread(str(tmp_path / name.replace('low', 'normal'))).astype(float)
        expected = f'{10 * math.log10(255**2 / np.mean((normal % 2)**2)):.6f}'
        assert cells[0 if name.startswith('LIME') else 2] == expected
        assert cells[2 if name.startswith('LIME') else 0] == ''
    assert mean == ['mean', *(f'{report[column]:.6f}' for column in columns[:3]), NOT_MEASURED]
    assert [row[4] for row in rows if row[0].startswith('NPE')] == [NOT_MEASURED] * 2


def test_scores_of_validations(tmp_path, pairs):
    runner_for_training(
        tmp_path / 'work', pairs, [dict(type='PerImageScoresHook', out_file=str(tmp_path / 'scores.csv'), val=True)],
        val_cfg=dict(type='mmagic.MultiValLoop'), val_dataloader=loader(pairs), val_evaluator=[dict(type='PSNR')],
        ).train()
    assert [row[0] for row in read(tmp_path / 'scores_iter_4.csv')] == ['image', '1.png', '22.png', '111.png', 'mean']


def test_saved_images_are_the_outputs(tmp_path, pairs):
    """The tiny editor doubles an image: the saved file is twice the input, in colours that are not swapped."""
    report_of_test(tmp_path / 'work', loader(pairs, batch_size=2), [dict(type='PSNR')],
                   hooks=[dict(type='SaveImagesHook', out_dir=str(tmp_path / 'out'))])
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['1.png', '111.png', '22.png']
    for path in (tmp_path / 'out').iterdir():
        saved = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(saved, cv2.imread(str(pairs / 'low' / path.name)) * 2)


def test_saved_images_keep_apart(tmp_path):
    for name in ('LIME', 'NPE'):
        write_pairs(tmp_path / name, names=['1.png', 'sub/1.png'], seed=len(name))
    report_of_test(
        tmp_path / 'work', [loader(tmp_path / name, gt=False, recursive=True) for name in ('LIME', 'NPE')],
        [[dict(type='NIQE', prefix=name)] for name in ('LIME', 'NPE')],
        hooks=[dict(type='SaveImagesHook', out_dir=str(tmp_path / 'out'))])
    for name in ('LIME/low/1.png', 'LIME/low/sub/1.png', 'NPE/low/1.png', 'NPE/low/sub/1.png'):
        assert np.array_equal(cv2.imread(str(tmp_path / 'out' / name)), cv2.imread(str(tmp_path / name)) * 2)


def test_saved_images_never_replace_an_input(tmp_path, pairs):
    """Neither the low-light images nor the ground truth, also by way of a link; before anything is computed."""
    (tmp_path / 'link').symlink_to(pairs / 'low', target_is_directory=True)
    content = {path: path.read_bytes() for path in pairs.rglob('*.png')}
    for folder in (pairs / 'low', pairs / 'normal', tmp_path / 'link'):
        with pytest.raises(FileExistsError, match=f'{folder}/.*.png is one of the originals.*another folder for the results'):
            report_of_test(tmp_path / 'work', loader(pairs), [dict(type='PSNR')],
                           hooks=[dict(type='SaveImagesHook', out_dir=str(folder))])
    assert {path: path.read_bytes() for path in pairs.rglob('*.png')} == content


@pytest.mark.parametrize('hook, message', [
    (dict(type='PerImageScoresHook', out_file='{here}'), '{here} is a folder'),
    (dict(type='PerImageScoresHook', out_file='{here}/file/scores.csv'), '{here}/file is a file, not a folder'),
    (dict(type='SaveImagesHook', out_dir='{here}/file'), '{here}/file is a file, not a folder'),
])
def test_a_place_for_results_where_none_can_be_is_found_before_the_test(tmp_path, pairs, monkeypatch, hook, message):
    (tmp_path / 'file').touch()
    monkeypatch.setattr(TinyEditor, 'test_step', lambda *_: pytest.fail('an image was enhanced'))
    hook = {key: value.format(here=tmp_path) for key, value in hook.items()}
    with pytest.raises(OSError, match=message.format(here=tmp_path)):
        report_of_test(tmp_path / 'work', loader(pairs), [dict(type='PSNR')], hooks=[hook])


def test_names_of_images():
    assert names_below_common_folder([]) == {}
    assert names_below_common_folder(['/data/low/1.png']) == {'/data/low/1.png': '1.png'}
    assert output_files(['a/1.bmp', 'a/b.c/2.jpg', 'a/3']) == {
        'a/1.bmp': '1.png', 'a/b.c/2.jpg': 'b.c/2.png', 'a/3': '3.png'}
    collide = ['a/1.bmp', 'a/1.jpg', 'a/1.bmp.tif']
    assert output_files(collide) == {'a/1.bmp': '1.bmp.png', 'a/1.jpg': '1.jpg.png', 'a/1.bmp.tif': '1.bmp.tif.png'}


def test_mmagics_visualizer_draws_side_by_side(tmp_path, pairs):
    """What the configurations use for pictures of a validation: input, output and ground truth in right colours."""
    runner_for_training(
        tmp_path / 'work', pairs, [dict(type='mmagic.BasicVisualizationHook', interval=1)], iterations=1, lr=0.,
        val_cfg=dict(type='mmagic.MultiValLoop'), val_dataloader=loader(pairs), val_evaluator=[dict(type='PSNR')],
        visualizer=dict(type='mmagic.ConcatImageVisualizer', vis_backends=[dict(type='LocalVisBackend')],
                        fn_key='img_path', img_keys=['input', 'pred_img', 'gt_img'], bgr2rgb=True)).train()
    picture, = (tmp_path / 'work').glob('*/vis_data/vis_image/22_1.png')
    low, normal = (cv2.imread(str(pairs / kind / '22.png')) for kind in ('low', 'normal'))
    assert np.array_equal(cv2.imread(str(picture)), np.concatenate([low, low * 2, normal], axis=1))
