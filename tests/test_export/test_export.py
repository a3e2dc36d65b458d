"""Exported files against the models in PyTorch, at sizes that were not traced."""
import json
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from networks import NETWORKS, small_prior
from PIL import Image
from tiny_segmentor import SEGMENTOR

from mmskf.apis import SKFInferencer, init_model, load_config
from mmskf.cli import main
from mmskf.datasets import AppendEqualized, StretchRange
from mmskf.export.exporter import ExportError, export_model
from mmskf.export.module import TRACED_SIZE, prior_sources
from mmskf.export.runtime import ExportedModel
from mmskf.models.editors.enhancement_editor import full_size, pad_to_multiple
from mmskf.version import __version__

SIZES = ((64, 96), (53, 38))
assert TRACED_SIZE not in SIZES


def small_editor(name):
    """The editor of a network in miniature, with its pipeline and a small knowledge bank."""
    network = NETWORKS[name]
    cfg = load_config(network.config)
    se = dict(network.se, type='SEModule')
    cfg.model.generator = dict(network.generator, **network.small, se=se)
    cfg.model.skb = dict(type='SemanticKnowledgeBank', model=SEGMENTOR)
    for part in ('sch_loss', 'sa_loss', 'discriminator'):
        cfg.model[part] = None
    torch.manual_seed(0)
    model = init_model(cfg)
    with torch.no_grad():
        for weight in model.generator.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    return model


def dark_photo(height, width):
    rng = np.random.default_rng(height)
    smooth = Image.fromarray(rng.integers(0, 80, (4, 5, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth) + rng.integers(-3, 4, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize('name', ['retinexnet', 'snr', 'llflow_s'])
def test_given_priors(name, tmp_path):
    """What the pipeline computes (LLFlow: the log and the equalized image) and the padding are in the file."""
    model = small_editor(name)
    report = export_model(model, tmp_path / 'small.onnx', given_prior=True, name=name)
    assert report.max_difference < 2e-5 and report.size == (tmp_path / 'small.onnx').stat().st_size
    exported = ExportedModel(tmp_path / 'small.onnx')
    assert exported.metadata['prior'] == list(prior_sources(model)) != []
    for height, width in SIZES:
        photo, prior = dark_photo(height, width), small_prior(height, width)
        inputs = AppendEqualized()(dict(img=photo))['img'] if model.input_channels == 6 else photo
        inputs = torch.from_numpy(inputs.transpose(2, 0, 1).copy())[None] / 255
        with torch.no_grad():
            expected = full_size(model.generate(pad_to_multiple(inputs, model.size_divisor), prior))[0]
        expected = expected.clamp(0, 1).numpy().transpose(1, 2, 0)[:height, :width] * 255
        maps = {key: prior.source(key if key == 'logits' else int(key[-1]))[0].numpy() for key in exported.metadata['prior']}
        found = exported(photo, maps)
        assert found.shape == (height, width, 3) and expected.std() > 1
        assert np.abs(found - expected).max() < 0.01  # of 255
    with pytest.raises(ValueError, match=r'small.onnx was exported without its knowledge bank.*--given-prior'):
        exported(dark_photo(*SIZES[0]))
    exported.max_pixels = 2000
    with pytest.raises(ValueError, match='It has no tiles, since its prior is given with the photo: use the model itself'):
        exported(photo, maps)


@pytest.fixture(scope='module')
def with_bank(tmp_path_factory):
    """A small RetinexNet with its knowledge bank, its ONNX file, and two photos."""
    folder = tmp_path_factory.mktemp('export')
    model = small_editor('retinexnet')
    with pytest.warns(UserWarning, match='has no checkpoint'):
        report = export_model(model, folder / 'bank.onnx', tiles=True)
    assert report.max_difference < 2e-5
    for height, width in SIZES:
        path = folder / 'photos' / f'{height}.png'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(dark_photo(height, width)).save(path)
    return model, folder


def test_enhance_by_a_file_with_its_bank(with_bank, tmp_path):
    """The command gives what the model in PyTorch gives, and needs neither PyTorch nor OpenMMLab."""
    model, folder = with_bank
    code = ("import sys; sys.modules |= dict.fromkeys(('torch', 'mmengine', 'mmcv', 'mmagic', 'mmseg')); "  # as if not installed
            'from mmskf.cli import main; print(main(sys.argv[1:]))')
    done = subprocess.run([sys.executable, '-c', code, 'enhance', str(folder / 'photos'), '-o', str(tmp_path), '--model',
                           str(folder / 'bank.onnx'), '--side-by-side', '--quiet'], capture_output=True, text=True, check=True)
    assert done.stderr == '' and done.stdout == f'2 of 2 photos enhanced: {tmp_path}\n0\n'
    enhance = SKFInferencer(model, show_progress=False)
    for height, width in SIZES:
        expected = enhance(str(folder / 'photos' / f'{height}.png'))['predictions'][0]
        found = np.asarray(Image.open(tmp_path / f'{height}.png'))
        assert found.shape == expected.shape and np.abs(found.astype(int) - expected).max() <= 1
        assert np.asarray(Image.open(tmp_path / 'side_by_side' / f'{height}.png')).shape[1] > 2 * width


def changed(path, target, change):
    """A copy of an ONNX file after a change of it."""
    model = onnx.load(path)
    change(model)
    target.write_bytes(model.SerializeToString())


def worst(found, expected):
    return np.abs(found.clip(0, 255) - expected.clip(0, 255)).max()


def test_large_photos_are_enhanced_in_tiles(with_bank):
    """As in PyTorch, with the prior and the SE modules' attention of the whole photo; weights are in the file once."""
    model, folder = with_bank
    photo, path = dark_photo(150, 210), folder / 'bank.onnx'
    weights = sum(weight.numel() for part in (model.generator, model.skb.network) for weight in part.parameters())
    assert path.stat().st_size < 1.5 * 4 * weights + 600_000
    exported = ExportedModel(path, max_pixels=9000)
    assert exported.metadata['of_whole'] == [*prior_sources(model), *(f'statistic_{number}' for number in range(3))]
    expected, = SKFInferencer(model, max_pixels=9000).stream(photo)
    found = exported(photo)
    assert found.shape == photo.shape and np.abs(found - expected.enhanced).mean() < 0.01


@pytest.fixture(scope='module')
def averaging(tmp_path_factory):
    """A plain network with averages over the whole photo, and its file."""
    cfg = load_config('nafnet_lol')
    cfg.model.generator.net = dict(type='mmagic.NAFNet', mid_channels=4, enc_blk_nums=[1], middle_blk_num=1, dec_blk_nums=[1])
    torch.manual_seed(0)
    model = init_model(cfg)
    with torch.no_grad():
        for weight in model.generator.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    path = tmp_path_factory.mktemp('averaging') / 'averaging.onnx'
    assert export_model(model, path, tiles=True).max_difference < 2e-5
    return model, path


def test_tiles_have_the_averages_of_the_whole_photo(averaging):
    model, path = averaging
    photo = dark_photo(150, 210)
    photo[:, 100:] //= 4
    exported = ExportedModel(path, max_pixels=9000)
    assert exported.metadata['of_whole'] == ['statistic_0', 'statistic_1', 'statistic_2']
    found, whole = exported(photo), ExportedModel(path)(photo)
    expected, = SKFInferencer(model, max_pixels=9000).stream(photo)
    assert worst(found, expected.enhanced) < 0.5 and worst(found, whole) < 2
    part = np.s_[:64, :64]
    assert worst(found[part], whole[part]) < 0.2 * worst(exported(photo[part]), whole[part])


def test_what_needs_nothing_of_the_whole_photo_is_enhanced_in_tiles_by_any_file(three_convolutions, tmp_path):
    export_model(three_convolutions, tmp_path / 'plain.onnx')
    photo = dark_photo(150, 210)
    whole = ExportedModel(tmp_path / 'plain.onnx', max_pixels=0)(photo)
    assert np.abs(ExportedModel(tmp_path / 'plain.onnx', max_pixels=9000)(photo) - whole).max() < 1e-3


@pytest.fixture(scope='module')
def three_convolutions():
    """A plain model that is quickly exported."""
    cfg = load_config('nafnet_lol')
    cfg.model.generator = dict(type='SEWrapper', net=dict(type='mmagic.SRCNNNet', upscale_factor=1), size_divisor=8)
    torch.manual_seed(0)
    return init_model(cfg)


def test_program_of_pytorch(three_convolutions, tmp_path):
    model = three_convolutions
    assert export_model(model, tmp_path / 'plain.pt2').max_difference < 1e-6
    program = torch.export.load(tmp_path / 'plain.pt2').module()
    for height, width in SIZES:
        image = torch.from_numpy(dark_photo(height, width).transpose(2, 0, 1).copy())[None] / 255
        with torch.no_grad():
            assert (program(image) - model.enhance(image).clamp(0, 1)).abs().max() < 1e-6


def test_smaller_files(three_convolutions, tmp_path, capsys, monkeypatch):
    """The printed differences are those of the compressed weights."""
    model = three_convolutions
    half = export_model(model, tmp_path / 'half.onnx', dtype='float16')
    monkeypatch.setattr('mmskf.apis.init_model', lambda *args: model)
    assert main(['export', 'nafnet_lol', '-o', str(tmp_path / 'int8.onnx'), '--dtype', 'int8', '--json']) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert 'nafnet_lol was given no weights' in err
    weights = sum(weight.numel() for weight in model.parameters())
    assert report['size'] + 0.9 * weights < half.size < 2 * weights + 60_000
    assert 1e-7 < half.mean_difference < report['mean_difference'] < 0.05 and half.max_difference < 1e-3
    assert ExportedModel(tmp_path / 'int8.onnx').dtype == 'int8'


@pytest.mark.parametrize('model, options, message', [
    ('lime', ['-o', 'lime.onnx'], 'lime cannot be exported: scipy solves its equations'),
    ('clahe', ['-o', 'clahe.pt2'], 'clahe cannot be exported: OpenCV computes it'),
    ('gamma', ['-o', 'gamma.onnx', '--given-prior'], 'gamma cannot be exported: it has no SE modules'),
    ('gamma', ['-o', 'gamma.pth'], 'gamma.pth: choose a name that ends with .onnx'),
    ('gamma', ['-o', 'gamma.pt2', '--dtype', 'int8'], "dtype='int8' is for .onnx files"),
    ('gamma', ['-o', 'gamma.pt2', '--tiles'], '--tiles is for .onnx files'),
    ('gamma', ['-o', 'gamma.onnx', '--tiles', '--given-prior'], '--tiles and --given-prior exclude each other'),
    ('snr_lol', ['-o', 'snr.onnx', '--tiles'], 'snr_lol cannot be exported for tiles: it computes pixelwise maps'),
])
def test_what_cannot_be_exported_is_named(model, options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(['export', model, *options]) == 2
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_what_pytorch_cannot_trace_is_named(tmp_path):
    model = init_model('gamma')
    model.generator.forward = lambda inputs, prior=None: torch.from_numpy(inputs.numpy())
    with pytest.raises(ExportError, match='gamma cannot be exported: torch.export does not trace it'):
        export_model(model, tmp_path / 'gamma.onnx', name='gamma')
    model.cfg.test_dataloader.dataset.pipeline.append(dict(type='mmagic.Flip', keys=['img']))
    with pytest.raises(ExportError, match='gamma cannot be exported: the step Flip of its test pipeline'):
        export_model(model, tmp_path / 'gamma.onnx', name='gamma')


def test_a_photo_that_is_too_large_for_a_file_is_named(averaging, tmp_path, capsys):
    """A file that was exported without tiles."""
    photo, path = tmp_path / 'photo.png', tmp_path / 'plain.onnx'
    Image.fromarray(dark_photo(64, 96)).save(photo)
    metadata = json.dumps(dict(ExportedModel(averaging[1]).metadata, of_whole=None))
    changed(averaging[1], path, lambda model: setattr(model.metadata_props[0], 'value', metadata))
    command = ['enhance', str(photo), '-o', str(tmp_path / 'out'), '--model', str(path)]
    assert main([*command, '--max-pixels', '6000']) == 1
    assert re.search(r'photo.png: .*plain.onnx enhances at most 6,000 pixels at once, and this photo has 96x64. Export the model '
                     'with --tiles', capsys.readouterr().err)
    assert main([*command, '--max-pixels', '0']) == 0
    assert ExportedModel(path).max_pixels == 1_000_000


@pytest.fixture(scope='module')
def gamma(tmp_path_factory):
    """The file of a method without weights."""
    path = tmp_path_factory.mktemp('gamma') / 'gamma.onnx'
    export_model(init_model('gamma'), path, name='gamma')
    return path


def test_wrong_files_are_named(gamma, tmp_path, capsys):
    photo = tmp_path / 'photo.png'
    Image.fromarray(dark_photo(8, 8)).save(photo)
    (tmp_path / 'damaged.onnx').write_bytes(b'no model')
    (tmp_path / 'short.onnx').write_bytes(gamma.read_bytes()[:-200])
    changed(gamma, tmp_path / 'strange.onnx', lambda model: model.ClearField('metadata_props'))
    for name, value in (('older.onnx', '{"model": "gamma", "dtype": "float32"}'), ('nonsense.onnx', '7')):
        changed(gamma, tmp_path / name, lambda model, value=value: setattr(model.metadata_props[0], 'value', value))
    changed(gamma, tmp_path / 'future.onnx', lambda model: setattr(model.opset_import[0], 'version', 999))
    for name, options, message in (
            ('missing.onnx', [], 'There is no exported model'), ('damaged.onnx', [], 'cannot be read as an ONNX model'),
            ('short.onnx', [], 'cannot be read as an ONNX model'),
            ('future.onnx', [], 'or install a newer onnxruntime'),
            ('strange.onnx', [], 'was not written by "mmskf export"'),
            ('older.onnx', [], 'older.onnx lacks prior, version: it was written by another version of mmskf'),
            ('nonsense.onnx', [], 'it was written by another version of mmskf'),
            ('damaged.onnx', ['--amp', '--bank', 'x'], '--amp, --bank: not for an exported model'),
            ('damaged.onnx', ['--max-pixels', '-9'], 'max_pixels=-9: expected a number of pixels'),
            ('damaged.onnx', ['--device', 'tpu'], "device='tpu'")):
        assert main(['enhance', str(photo), '-o', str(tmp_path / 'out'), '--model', str(tmp_path / name), *options]) == 2
        assert message in capsys.readouterr().err


def test_info_on_a_file(gamma, capsys):
    assert main(['info', str(gamma), '--json']) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found['model'], found['dtype'], found['inputs'], found['largest photo']) == ('gamma', 'float32', ['image'], 'any')
    assert found['exported by'] == f'mmskf {__version__}' and found['bytes'] == gamma.stat().st_size


def test_what_would_be_lost_is_refused_first(gamma, capsys):
    """Before the model is built and exported, which takes its time."""
    assert main(['export', str(gamma), '-o', 'again.onnx']) == 2
    assert 'gamma.onnx is an exported model already' in capsys.readouterr().err
    assert main(['export', 'gamma', '-o', str(gamma / 'inside.onnx')]) == 2
    assert re.search(r'inside.onnx cannot be written: .*gamma.onnx is a file, not a folder', capsys.readouterr().err)


def test_steps_of_pipelines_for_tensors():
    """The same numbers as from OpenCV and numpy, also for a constant channel and a black image."""
    photo = dark_photo(20, 30)
    photo[..., 1] = 7
    for image in (photo, np.zeros_like(photo)):
        tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())[None] / 255
        for step, key in ((AppendEqualized(), 'img'), (StretchRange(['img']), 'img')):
            expected = np.asarray(step(dict(img=image))[key], np.float32).transpose(2, 0, 1) / 255
            assert np.abs(step.of_tensor(tensor)[0].numpy() - expected).max() < 1e-6
