import numpy as np
import torch
from PIL import Image

from mmskf.apis import init_model


def test_enhance(tool, pairs, tmp_path, capsys):
    torch.save(dict(state_dict=init_model('drbn_lol').state_dict()), tmp_path / 'drbn.pth')
    low = pairs / 'test' / 'low'
    single = tmp_path / 'single.jpg'
    Image.open(low / '1.png').resize((20, 30)).save(single)
    tool('demo/enhance').main([
        str(low), str(single), '--model', 'drbn_lol', '--weights', str(tmp_path / 'drbn.pth'), '--device', 'cpu', '--out-dir',
        str(tmp_path / 'out'), '--before-after', str(tmp_path / 'sheet.png')
    ])
    assert '3 enhanced pictures' in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['0.png', '1.png', 'side_by_side', 'single.jpg']
    assert Image.open(tmp_path / 'out' / 'single.jpg').size == (20, 30)
    sheet = np.asarray(Image.open(tmp_path / 'sheet.png'))
    assert sheet.shape[0] == 3 * 300 and (sheet[-1, -1] == 255).all()  # the narrow photo leaves white
