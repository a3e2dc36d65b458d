import sys

from mmskf.cli import main


def test_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    assert main(['web']) == 2
    out, err = capsys.readouterr()
    assert err.startswith('mmskf: The web page needs the package gradio (') and err.endswith('): pip install "mmskf[demo]"\n')
    assert not out
