"""Any bank of configs/skb trains DRBN-SKF: nothing but the line that names it differs."""
from pathlib import Path

import pytest
import torch
from mmagic.structures import DataSample
from mmengine.optim import OptimWrapper, OptimWrapperDict

from mmskf.apis import init_model, load_config

ROOT = Path(__file__).resolve().parents[3]
BANKS = sorted(path.stem for path in (ROOT / 'configs' / 'skb').glob('*.py')
               if not path.stem.startswith(('train_', 'distill_', 'test_')))
CONFIG = """
_base_ = ['{root}/configs/_base_/methods/drbn.py', '{root}/configs/skb/{bank}.py']
model = dict(_base_.skf, skb=_base_.skb)
"""


@pytest.mark.filterwarnings('ignore:The semantic knowledge bank has no checkpoint')
@pytest.mark.parametrize('bank', BANKS)
def test_two_iterations(bank, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(root=ROOT, bank=bank))
    # The weights are elsewhere, and a test needs no network.
    model = init_model(load_config(path, {'model.skb.checkpoint': None})).train()
    frozen = {name: value.clone() for name, value in model.skb.segmentor.state_dict().items()}
    before = {name: value.clone() for name, value in model.generator.state_dict().items()}
    optimizers = OptimWrapperDict(**{
        name: OptimWrapper(torch.optim.Adam(getattr(model, name).parameters(), lr=1e-4))
        for name in ('generator', 'discriminator')
    })
    meta = dict(img_channel_order='rgb', gt_channel_order='rgb')
    for _ in range(2):
        low, high = torch.randint(0, 256, (2, 1, 3, 64, 64), dtype=torch.uint8)
        logs = model.train_step(dict(inputs=list(low), data_samples=[DataSample(gt_img=high[0], metainfo=meta)]), optimizers)
        assert all(torch.isfinite(value) for value in logs.values())
    assert all(torch.equal(value, frozen[name]) for name, value in model.skb.segmentor.state_dict().items())
    trained = [name for name, value in model.generator.state_dict().items() if not torch.equal(value, before[name])]
    assert any('.se.2.' in name for name in trained) and any(name.startswith('recurrences.0') for name in trained)
