import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmagic.structures import DataSample
from PIL import Image
from tiny_llflow import GENERATOR

from mmskf.apis import init_model
from mmskf.apis.config import model_index

ROOT = Path(__file__).resolve().parents[2]
CONFIG = 'drbn_lol'


def test_print_config(tool, capsys):
    tool('tools/analysis_tools/print_config').main([CONFIG, '--cfg-options', 'model.generator.channels=8'])
    printed = capsys.readouterr().out
    assert "type='DRBNNet'" in printed and 'channels=8' in printed and "data_root='data/LOL'" in printed


def test_browse_dataset(tool, pairs, tmp_path, capsys):
    tool('tools/analysis_tools/browse_dataset').main([
        str(ROOT / 'configs/demo/drbn_demo.py'), '--split', 'test', '--data-root', str(pairs), '--columns', '1', '--height', '42',
        '--out', str(tmp_path / 'sheet.png')
    ])
    assert '2 samples' in capsys.readouterr().out
    sheet = np.asarray(Image.open(tmp_path / 'sheet.png'))
    assert sheet.shape == (2 * 42, 2 * 63, 3)
    low, high = (np.asarray(Image.open(pairs / 'test' / side / '0.png')) for side in ('low', 'high'))
    assert np.array_equal(sheet[:42, :54], low) and np.array_equal(sheet[:42, 63:63 + 54], high)


def test_get_flops(tool, capsys):
    module = tool('tools/analysis_tools/get_flops')
    module.main([CONFIG, '--size', '8x12', '--cfg-options', 'model.generator.recurrences=1'])
    # By hand for one recurrence: convolutions at 1/1, 1/2 and 1/4 of 96 pixels, transposed ones at their input.
    full = 6 * 16 * 9 + 16 * 16 * 9 + 2 * (8 * (16 + 24 + 32 + 40) * 9 + 48 * 16) + 16 * 16 * 9 + 16 * 3 * 9
    half = 16 * 16 * 9 + 2 * (8 * (16 + 24 + 32 + 40) * 9 + 48 * 16) + 16 * 16 * 16 + 16 * 16 * 9 + 16 * 3 * 9
    quarter = 16 * 32 * 9 + 2 * (16 * (32 + 48 + 64 + 80) * 9 + 96 * 32) + 32 * 16 * 16 + 32 * 16 * 9 + 16 * 3 * 9
    from mmskf.apis import load_config
    model = module.init_model(load_config(CONFIG, {'model.generator.recurrences': 1}))
    assert module.count_operations(model, (8, 12))['enhancement network'] == 96 * full + 24 * half + 6 * quarter
    assert '139,417' in capsys.readouterr().out
    # All four recurrences of DRBN on an image of LOL, as the index has it.
    entry, = (entry for entry in model_index() if entry['Name'] == CONFIG)
    assert entry['Metadata']['GMACs'] == round(4 * (96 * full + 24 * half + 6 * quarter) * 2500 / 1e9, 2)


def test_get_flops_of_attention(tool):
    query, key = torch.rand(1, 2, 5, 4), torch.rand(1, 2, 7, 4)
    with tool('tools/analysis_tools/get_flops').flop_counter() as counter, torch.no_grad():
        torch.nn.functional.scaled_dot_product_attention(query, key, key)
    assert counter.get_total_flops() == 2 * 2 * 2 * 5 * 7 * 4  # 2 heads, 2 products, 2 operations in a multiply-add


def test_get_flops_of_depthwise_convolution(tool):
    """Three times 3x3 operations for each of 8 channels and 6x10 pixels: forward, and backward to image and weights."""
    conv = torch.nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
    with tool('tools/analysis_tools/get_flops').flop_counter() as counter:
        conv(torch.rand(1, 8, 6, 10, requires_grad=True)).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * 9 * 8 * 60


def test_analyze_logs(tool, tmp_path, capsys):
    main = tool('tools/analysis_tools/analyze_logs').main
    log = tmp_path / 'run' / '2026' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"loss": 2.0, "step": 1}\n{"loss": 1.0, "step": 2}\n{"PSNR": 20.0, "step": 2}\n')
    main([str(tmp_path / 'run'), '--out', str(tmp_path / 'curves.png')])
    assert 'loss 2.0000 at 1 -> 1.0000 at 2' in capsys.readouterr().out
    assert Image.open(tmp_path / 'curves.png').size[0] > 100
    (tmp_path / 'scalars.json').write_text('{"loss": 3.0, "step": 5}\n')
    main([str(tmp_path / 'run'), str(tmp_path / 'scalars.json'), '--keys', 'loss', 'PSNR', '--out', str(tmp_path / 'curves.png')])
    printed = capsys.readouterr().out
    assert 'loss 3.0000 at 5' in printed and printed.count('PSNR') == 1
    with pytest.raises(KeyError, match='no log has a scalar named .*SSIM.* yet. They have: PSNR, loss, step'):
        main([str(tmp_path / 'run'), '--keys', 'SSIM', '--out', str(tmp_path / 'curves.png')])
    with pytest.raises(FileNotFoundError, match='contains no log'):
        main([str(tmp_path / 'nothing')])


def test_gradient_share(tool, pairs, tmp_path, capsys):
    config = tmp_path / 'config.py'
    config.write_text(
        f"_base_ = ['{ROOT}/configs/demo/drbn_demo.py']\n"
        f'import sys\nsys.path.insert(0, {str(ROOT / "tests")!r})\n'
        'from tiny_segmentor import SEGMENTOR\n'
        'del sys\n'
        "model = dict(generator=dict(channels=4, growth=2, se=dict(type='SEModule', sources=(1, 0, 'logits'))),\n"
        "             skb=dict(type='SemanticKnowledgeBank', model=SEGMENTOR), sch_loss=dict(type='SCHLoss', loss_weight=2.))\n"
        'train_dataloader = dict(num_workers=0, batch_size=2)\n'
        "next(step for step in _base_.train_dataloader.dataset.pipeline if step.type == 'RandomCrop').crop_size = 32\n")
    torch.save(dict(state_dict=init_model(config).state_dict()), tmp_path / 'model.pth')
    module = tool('tools/analysis_tools/gradient_share')
    with pytest.warns(UserWarning, match='semantics are random'):
        module.main([str(config), str(tmp_path / 'model.pth'), '--data-root', str(pairs), '--batches', '2'])
    printed = capsys.readouterr().out
    assert '100.0%' in printed and 'loss_SCH' in printed

    model = init_model(config).train()
    low, high = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    meta = dict(img_channel_order='rgb', gt_channel_order='rgb')
    data = dict(inputs=[low[0] * 255], data_samples=[DataSample(gt_img=high[0] * 255, metainfo=meta)])
    norms = module.gradient_norms(model, data)
    outputs, _ = model.reconstruct(low, high)
    gradient, = torch.autograd.grad(model.pixel_loss(outputs, high), outputs[0])
    assert norms['loss_recon'][1] == pytest.approx(gradient.norm().item(), rel=1e-4)


def test_benchmark_sch_compares_what_is_equal(tool):
    module = tool('tools/analysis_tools/benchmark_sch')
    results = {}
    for name, loss in module.LOSSES.items():
        pred, target, labels = module.make_inputs((2, 3, 16, 24), 'cpu')
        value = loss(pred.requires_grad_(), target, labels)
        value.backward()
        results[name] = value.item(), pred.grad
    assert results['SCHLoss'][0] == pytest.approx(results['naive'][0], rel=1e-5)
    assert torch.allclose(results['SCHLoss'][1], results['naive'][1], atol=1e-5 * results['naive'][1].abs().max())


@pytest.fixture
def small_llflow(tmp_path):
    """The config of a small LLFlow."""
    path = tmp_path / 'config.py'
    path.write_text(
        f"_base_ = ['{ROOT}/configs/baseline/llflow_s_lol.py']\nmodel = dict(generator=dict({GENERATOR}, num_blocks=4))\n")
    return str(path)


@pytest.mark.filterwarnings('ignore:.*semantics are random')
def test_benchmark(tool, tmp_path, monkeypatch, capsys):
    """A model with a knowledge bank, measured in this process: what is measured is what the model does."""
    config = tmp_path / 'config.py'
    config.write_text(
        f"_base_ = ['{ROOT}/configs/demo/drbn_skf_demo.py']\n"
        f'import sys\nsys.path.insert(0, {str(ROOT / "tests")!r})\n'
        'from tiny_segmentor import SEGMENTOR\n'
        'del sys\n'
        'model = dict(generator=dict(channels=4, growth=2), sa_loss=dict(patch_size=32),\n'
        "             skb=dict(_delete_=True, type='SemanticKnowledgeBank', model=SEGMENTOR, checkpoint='nowhere.pth'))\n")
    module = tool('tools/analysis_tools/benchmark')
    results = {}

    def keep(args, config, name, bf16):
        return results.setdefault((name, bf16), module.measure(args, config, name, bf16))

    monkeypatch.setattr(module, 'in_fresh_process', keep)
    options = [str(config), '--size', '37x50', '--repeats', '1']
    module.main([*options, '--runs', 'image', '--bf16'])
    module.main([*options, '--runs', 'training', '--crop', '32', '--batch-size', '1'])
    printed = capsys.readouterr().out
    assert 'image, bfloat16' in printed and 'dB to float32' in printed and 'training, float32' in printed
    for result in results.values():
        assert 0 < result['skb'] < result['seconds']
    full, half = results['image', False]['output'], results['image', True]['output']
    assert full.shape == (1, 3, 37, 50) and not np.array_equal(full, half)
    assert {'loss_recon', 'loss_SCH', 'loss_D_global'} < set(results['training', False]['output'])
    module.main([*options, '--runs', 'cached', '--crop', '32', '--batch-size', '1'])
    assert 'training, cached priors, float32' in capsys.readouterr().out
    assert results['cached', False]['skb'] == 0 and results['cached', False]['flops'] < results['training', False]['flops']
    assert results['cached', False]['output'].keys() == results['training', False]['output'].keys()
    results.clear()
    module.main([*options, '--runs', 'image', '--profile', '--cfg-options', 'compile.backend=eager'])
    printed = capsys.readouterr().out
    assert '| image, float32, compiled |' in printed and '| operators |' in printed and 'convolution' in printed
    # All methods, of which there is one here; what is counted is what PyTorch counts.
    assert {'drbn_skf_lol', 'hwmnet_skf_lol', 'llflow_l_skf_lol'} < set(module.methods_with_skf())
    monkeypatch.setattr(module, 'methods_with_skf', lambda: [str(config)])
    results.clear()
    module.main(['--all', '--size', '37x50', '--repeats', '1', '--runs', 'image'])
    *_, row = capsys.readouterr().out.splitlines()
    cells = [cell.strip() for cell in row.split('|')[1:-1]]
    assert cells[:2] == ['config', 'image, float32'] and cells[4].endswith(' MB')
    model = module.init_model(module.load_config(str(config), {'model.skb.checkpoint': None}))
    operations = tool('tools/analysis_tools/get_flops').count_operations(model, (37, 50))
    assert results['image', False]['flops'] == 2 * sum(operations.values())
    results.clear()
    # LLFlow takes more channels than three, and trains with one optimizer.
    config.write_text(
        f"_base_ = ['{ROOT}/configs/baseline/llflow_s_lol.py']\n"
        f'model = dict(generator={GENERATOR})\n')
    module.main([str(config), '--size', '16x24', '--crop', '16', '--batch-size', '2', '--repeats', '1', '--bf16'])
    assert results['image', False]['output'].shape == (1, 3, 16, 24)
    assert np.isfinite(results['training', True]['output']['loss_recon'])
    assert module.psnr(np.full((2, 2), 0.5), np.full((2, 2), 0.6)) == pytest.approx(20)


def test_benchmark_keeps_errors_for_users(tool):
    """They come from a process of their own, which tells of other errors with a traceback."""
    module = tool('tools/analysis_tools/benchmark')
    error = module.try_to_measure(module.parse_args(['clahe']), 'clahe', 'training', False)
    assert isinstance(error, ValueError) and 'nothing to train' in str(error)


def test_benchmark_memory_compares_what_is_asked_for(tool):
    parse = tool('tools/analysis_tools/benchmark_memory').parse_args
    assert parse(['x']).options == {'model.generator.with_cp': True}
    assert parse(['x', '--options', 'model.generator.reversible=True']).options == {'model.generator.reversible': True}


def test_benchmark_skb(tool, tmp_path, capsys):
    main = tool('tools/analysis_tools/benchmark_skb').main
    (tmp_path / 'tiny.py').write_text(
        'from tiny_segmentor import SEGMENTOR\n'
        "skb = dict(type='SemanticKnowledgeBank', model=SEGMENTOR, checkpoint='nowhere.pth')\n")
    (tmp_path / 'features.py').write_text(
        "skb = dict(type='TransformersKnowledgeBank', model=dict(model_type='dinov2', hidden_size=16, num_attention_heads=2,\n"
        '                                                        num_hidden_layers=1, image_size=28))\n')
    threads = torch.get_num_threads()
    main([str(tmp_path / 'tiny.py'), str(tmp_path / 'features.py'), '--size', '32x48', '--threads', '1', '--repeats', '2'])
    torch.set_num_threads(threads)
    tiny, features = (row.split('|')[1:-1] for row in capsys.readouterr().out.splitlines()[3:5])
    assert [cell.strip() for cell in tiny[:5]] == ['tiny', '0.1 M', '4, 8, 16, 32', '4, 8, 16, 32', '5']
    assert float(tiny[6]) == 1 and float(features[6]) > 0
    assert [cell.strip() for cell in features[2:5]] == ['16', '14', 'none']
    (tmp_path / 'none.py').write_text('model = dict()\n')
    with pytest.raises(ValueError, match='none.py has no skb'):
        main([str(tmp_path / 'none.py')])


@pytest.mark.filterwarnings('ignore:.*semantics are random')
def test_skb_stability(tool, pairs, tmp_path, capsys):
    """A crop that is the whole image has the whole image's prior, to float16."""
    (tmp_path / 'tiny.py').write_text('from tiny_segmentor import SEGMENTOR\n'
                                      "skb = dict(type='SemanticKnowledgeBank', model=SEGMENTOR)\n")
    for name, side in (('whole', 42), ('crops', 32)):
        torch.manual_seed(0)  # of the bank's weights
        for path in sorted((pairs / 'test').glob('*/*.png')):
            square = tmp_path / name / 'test' / path.parent.name / path.name
            square.parent.mkdir(parents=True, exist_ok=True)
            Image.open(path).crop((0, 0, 42, 42)).save(square)
        tool('tools/analysis_tools/skb_stability').main([
            str(tmp_path / 'tiny.py'), '--data-root', str(tmp_path / name), '--layout', 'paired_folder', '--crop', str(side)])
    rows = [row for row in capsys.readouterr().out.splitlines() if ' crop of ' in row]
    whole, crops = ([float(value) for cell in row.split('|')[3:5] for value in cell.split(',')] for row in rows)
    assert whole[:4] == [1] * 4 and whole[4] > 0.99
    assert all(0 < value < 1 for value in crops[:4]) and 0 <= crops[4] <= 1


def test_export_parity(tool):
    """Models that differ in their training alone are one row; the row of what cannot be exported says why."""
    module = tool('tools/analysis_tools/export_parity')
    assert module.grouped(['gamma', 'zerodce_lol', 'zerodce_sice']) == [['gamma'], ['zerodce_lol', 'zerodce_sice']]
    args = module.parse_args(['--sizes', '20x30', '24x17', '--repeats', '1', '--threads', str(torch.get_num_threads())])
    largest, mean, megabytes, *seconds = map(float, module.measure('gamma', args))
    assert 0 < mean < largest < 1e-6 and megabytes < 0.1 and len(seconds) == 2
    with pytest.raises(module.ExportError, match='clahe cannot be exported'):
        module.measure('clahe', args)


def test_benchmark_memory_counts_tensors(tool):
    module = tool('tools/analysis_tools/benchmark_memory')
    with module.TensorBytes() as memory:
        weight = torch.zeros(1000, requires_grad=True)
        assert memory.now == 4000
        doubled = weight * 2
        view = doubled[:10]  # has no memory of its own
        loss = (doubled * doubled).sum()
        assert memory.peak >= 12000 and memory.now == 8004
        loss.backward()
        del doubled, view, loss
        assert memory.now == 8000 and weight.grad.nbytes == 4000
    # 1 GB and 1/2 MB for each pixel of a card of 18 GB with 1 GB reserved: 32768 pixels, two images of 128x128.
    args = module.parse_args(['llflow_s_lol', '--batch-size', '2', '--crop', '64'])
    between, peak = 2**30, 2**30 + 2 * 64**2 * 2**19
    assert module.what_fits(args, between, peak, card=18) == (8, 128)
    assert module.what_fits(args, between, peak, card=1.5) == (0, 0)


def test_benchmark_memory(tool, small_llflow, capsys):
    tool('tools/analysis_tools/benchmark_memory').main([
        small_llflow, '--crop', '64', '--repeats', '1', '--cards', '8', '--options',
        'model.generator.reversible=True', 'model.generator.with_cp=True'])
    plain, saving = re.findall(r'peak memory \d+ MB \((.*)\), .* s \(.*\)\n  8 GB: batch (\d+) of 64x64', capsys.readouterr().out)
    assert plain[0] == '1.00' and float(saving[0]) < 0.6 and int(saving[1]) > 1.5 * int(plain[1])


def test_benchmark_counts_what_a_reversible_flow_computes_again(tool, small_llflow):
    module = tool('tools/analysis_tools/benchmark')
    flops = []
    for reversible in ('False', 'True'):
        args = module.parse_args([small_llflow, '--crop', '32', '--batch-size', '1', '--repeats', '1', '--cfg-options',
                                  f'model.generator.reversible={reversible}'])
        flops.append(module.measure(args, args.config, 'training', False)['flops'])
    assert 0 < flops[0] < flops[1] < 4 / 3 * flops[0]  # at most one of forward, backward to inputs and backward to weights again


def test_gpu_report(tool, tmp_path, capsys):
    """Parts that succeed, fail and do not end, without a GPU; the commands of the real parts are well formed."""
    module, out = tool('tools/analysis_tools/gpu_report'), tmp_path / 'report.md'
    parts = [module.Part('Good', ['-c', 'print("done")'], 60), module.Part('Bad', ['-c', '1 / 0'], 60),
             module.Part('Endless', ['-c', 'while True: pass'], 1)]
    module.PARTS['sch'] = lambda args: parts
    module.main(['--device', 'cpu', '--small', '--parts', 'sch', '--out', str(out)])
    report = out.read_text()
    assert report.startswith('# mmskf on cpu') and f'PyTorch {torch.__version__}' in report
    assert '## Good\n\n```text\ndone\n```' in report and 'ZeroDivisionError' in report and 'Stopped after 1 seconds' in report
    benchmark = tool('tools/analysis_tools/benchmark')
    for options in ([], ['--small']):
        args = module.parse_args(['--device', 'cpu', *options])
        for name in ('amp', 'memory', 'images', 'compiled'):
            for part in module.PARTS[name](args):
                assert part.command[0] == str(module.BENCHMARK)
                assert benchmark.load_config(benchmark.parse_args(part.command[1:]).config)
