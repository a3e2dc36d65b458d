import pytest
import torch
from mmagic.structures import DataSample

from mmskf.apis import init_model


@pytest.mark.parametrize('step', ['val_step', 'test_step'])
def test_batch_of_several_sizes(step):
    """mmagic would say 'stack expects each tensor to be equal size'."""
    model = init_model('drbn_lol')
    data = dict(inputs=[torch.zeros(3, 8, 12, dtype=torch.uint8), torch.zeros(3, 9, 12, dtype=torch.uint8)],
                data_samples=[DataSample(metainfo=dict(img_path=name)) for name in ('low/1.png', 'low/2.png')])
    with pytest.raises(ValueError, match='low/1.png is 12x8, low/2.png is 12x9. Set batch_size=1 in val_dataloader'):
        getattr(model, step)(data)
