import pytest
import torch
from mmagic import structures as mmagic_structures
from mmagic.models import BaseEditModel

from mmskf.apis import init_model
from mmskf.registry import MODELS
from mmskf.structures import DataSample


@pytest.mark.parametrize('step', ['val_step', 'test_step'])
def test_batch_of_several_sizes(step):
    """Names the files."""
    model = init_model('drbn_lol')
    data = dict(inputs=[torch.zeros(3, 8, 12, dtype=torch.uint8), torch.zeros(3, 9, 12, dtype=torch.uint8)],
                data_samples=[DataSample(metainfo=dict(img_path=name)) for name in ('low/1.png', 'low/2.png')])
    with pytest.raises(ValueError, match='low/1.png is 12x8, low/2.png is 12x9. Set batch_size=1 in val_dataloader'):
        getattr(model, step)(data)


def test_mmagic_s_editor_makes_the_same_of_a_batch():
    """The same network, loss and batch: predictions, inputs, ground truth and metadata; and the losses of a training step."""
    torch.manual_seed(0)
    ours = MODELS.build(dict(
        type='SKFEditor', generator=dict(type='SEWrapper', net=dict(type='mmagic.NAFNet', enc_blk_nums=[1], dec_blk_nums=[1])),
        recon_loss=dict(type='L1Loss'))).eval()
    theirs = BaseEditModel(
        dict(type='NAFNet', enc_blk_nums=[1], dec_blk_nums=[1]), dict(type='L1Loss'),
        data_preprocessor=dict(type='mmagic.DataPreprocessor', mean=[0.], std=[255.])).eval()
    theirs.generator.load_state_dict(ours.generator.net.state_dict())
    images = torch.randint(0, 256, (2, 2, 3, 8, 12), dtype=torch.uint8)

    def batch(kind):
        meta = dict(img_path='a.png', img_channel_order='rgb', gt_channel_order='rgb')
        return dict(inputs=list(images[0].clone()), data_samples=[kind(gt_img=gt.clone(), metainfo=meta) for gt in images[1]])

    with torch.no_grad():
        for step in ('val_step', 'test_step'):
            predictions = getattr(ours, step)(batch(DataSample)), getattr(theirs, step)(batch(mmagic_structures.DataSample))
            for one, other in zip(*predictions):
                assert one.img_path == other.img_path == 'a.png'
                for first, second in ((one.output.pred_img, other.output.pred_img), (one.input, other.input),
                                      (one.gt_img, other.gt_img)):
                    assert first.shape == (3, 8, 12) and torch.allclose(first.float(), second.float(), atol=1e-3)
    ours.train()
    theirs.train()
    losses = [model(**model.data_preprocessor(batch(kind), True), mode='loss')
              for model, kind in ((ours, DataSample), (theirs, mmagic_structures.DataSample))]
    assert torch.allclose(losses[0]['loss_recon'], losses[1]['loss'], atol=1e-6)


def test_unknown_mode():
    with pytest.raises(ValueError, match="mode='train': choose 'tensor', 'predict' or 'loss'"):
        init_model('zerodce_lol')(torch.zeros(1, 3, 4, 4), mode='train')
