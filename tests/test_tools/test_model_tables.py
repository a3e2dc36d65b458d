"""The tables of the model pages: those in the repository are up to date, and measured scores stand beside the paper's."""
import mmengine
import pytest

from mmskf.apis import config, config_root

INDEX = dict(Import=['configs/one/metafile.yml'])
PAGE = 'Above.\n<!-- table: {} -->\nold\n<!-- end -->\nBelow.\n'


@pytest.fixture(scope='module')
def module(tool):
    return tool('tools/analysis_tools/model_tables')


def test_pages_are_up_to_date(module, capsys):
    """After a change of the index: python tools/analysis_tools/model_tables.py"""
    assert module.main(['--check']) == 0, capsys.readouterr().out
    folders = {path.parent for path in config_root().glob('*/metafile.yml')}
    assert folders == {path.parent for path in config_root().glob('*/README.md')} and len(folders) >= 8


@pytest.fixture
def pages(module, tmp_path, monkeypatch):
    """An index of one model that was measured on LOL."""
    (tmp_path / 'configs' / 'one').mkdir(parents=True)
    model = {
        'Name': 'one_skf_lol', 'Config': 'configs/skf/one_skf_lol.py',
        'Metadata': {'Model': 'One-SKF', 'Training Data': 'LOL', 'Parameters': 1234567, 'GMACs': 1.5,
                     'Parameters with SKB': 2345678, 'GMACs with SKB': 88.2},
        'Results': [{'Dataset': 'LOL', 'Metrics': {'PSNR': 20.5}}],
        'Paper Results': [{'Dataset': 'LOL', 'Metrics': {'PSNR': 21., 'SSIM': 0.8, 'LPIPS': 0.15, 'NIQE': 4.}},
                          {'Dataset': 'LOL-v2', 'Metrics': {'PSNR': 22.}}],
        'Paper Parameters (M)': 1.2, 'Parameters Differ': 'a reason'}
    mmengine.dump(INDEX, tmp_path / 'model-index.yml')
    mmengine.dump(dict(Models=[model]), tmp_path / 'configs' / 'one' / 'metafile.yml')
    for user in (config, module):
        monkeypatch.setattr(user, 'config_root', lambda: tmp_path / 'configs')
    return tmp_path / 'configs'


def test_measured(module, pages):
    """One row for each test set and model, in the order of the index; a set without ground truth has NIQE alone."""
    models = [{'Name': name, 'Config': f'configs/one/{name}.py', 'Metadata': {}, 'Results': [
        {'Dataset': 'LOL', 'Metrics': {'PSNR': psnr, 'SSIM': 0.5, 'NIQE': 5}},
        {'Dataset': 'DICM', 'Metrics': {'NIQE': 4.25}}]} for name, psnr in (('b', 10), ('a', 12.3456))]
    mmengine.dump(dict(Models=models), pages / 'one' / 'metafile.yml')
    (pages / 'README.md').write_text('')
    (pages / 'one' / 'README.md').write_text(PAGE.format('measured'))
    module.main([])
    assert (pages / 'one' / 'README.md').read_text().splitlines()[2:8] == [
        '| test set | model | PSNR | SSIM | NIQE |', '| --- | --- | --- | --- | --- |',
        '| LOL | [b](b.py) | 10.000 | 0.500 | 5.000 |', '| LOL | [a](a.py) | 12.346 | 0.500 | 5.000 |',
        '| DICM | [b](b.py) |  |  | 4.250 |', '| DICM | [a](a.py) |  |  | 4.250 |']


def test_results(module, pages):
    """One row for each model that was measured, one column for each test set and score."""
    models = [{'Name': name, 'Config': f'configs/one/{name}.py', 'Metadata': {}, 'Results': results} for name, results in (
        ('a', [{'Dataset': 'LOL', 'Metrics': {'PSNR': 10, 'SSIM': 0.5}}]), ('b', []),
        ('c', [{'Dataset': 'DICM', 'Metrics': {'NIQE': 4.25}}]))]
    mmengine.dump(dict(Models=models), pages / 'one' / 'metafile.yml')
    (pages / 'README.md').write_text(PAGE.format('results'))
    module.main([])
    assert (pages / 'README.md').read_text().splitlines()[2:6] == [
        '| model | PSNR, LOL | SSIM, LOL | NIQE, DICM |', '| --- | --- | --- | --- |',
        '| [a](one/a.py) | 10.000 | 0.500 |  |', '| [c](one/c.py) |  |  | 4.250 |']


def test_tables(module, pages):
    (pages / 'README.md').write_text(PAGE.format('counts'))
    (pages / 'one' / 'README.md').write_text(PAGE.format('models') + PAGE.format('scores'))
    assert module.main(['--check']) == 2 and 'old' in (pages / 'README.md').read_text()
    assert module.main([]) == 0 and module.main(['--check']) == 0
    assert (pages / 'README.md').read_text().splitlines()[4] == (
        '| [One-SKF](one/README.md) | 1,234,567 | 1.23 | 1.20 | a reason |')
    lines = (pages / 'one' / 'README.md').read_text().splitlines()
    link = '[one_skf_lol](../skf/one_skf_lol.py)'
    assert f'| One-SKF | {link} | LOL | 1,234,567 | 2,345,678 | 1.50 | 88.20 |' in lines
    missing = 'not measured'
    assert (f'| {link} | LOL | 21.000 | 20.500 | 0.800 | {missing} | 0.150 | {missing} | 4.000 | {missing} |') in lines
    assert any(line.startswith(f'| {link} | LOL-v2 | 22.000 |') and line.count('|  |') == 3 for line in lines)
    assert lines[0] == 'Above.' and lines[-1] == 'Below.' and 'old' not in lines
