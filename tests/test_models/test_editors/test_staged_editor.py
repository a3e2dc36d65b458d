import pytest
import tiny_staged  # noqa: F401
import torch
from mmagic.structures import DataSample
from mmengine.model import MMSeparateDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from tiny_segmentor import SEGMENTOR

from mmskf.models import EditorDistributedDataParallel, StagedSeparateDistributedDataParallel
from mmskf.registry import MODEL_WRAPPERS, MODELS

OPTIMIZER = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2))
SKF = dict(
    skb=dict(type='SemanticKnowledgeBank', model=SEGMENTOR),
    sch_loss=dict(type='SCHLoss'),
    sa_loss=dict(type='SALoss', patch_size=32, min_pixels=16, edge_width=1),
    discriminator=dict(type='ThinDiscriminator'))
RECON_LOSS = dict(decom=dict(type='RetinexNetDecomLoss'), relight=dict(type='RetinexNetRelightLoss'))


def editor(generator=None, type='StagedEditor', **config):
    return MODELS.build(
        dict(
            dict(recon_loss=RECON_LOSS),
            type=type,
            generator=dict(type='TinyRetinexNet', **(generator or {})),
            data_preprocessor=dict(type='mmagic.DataPreprocessor', mean=[0.] * 3, std=[255.] * 3),
            **config))


@pytest.fixture
def batch():
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    meta = dict(img_channel_order='rgb', gt_channel_order='rgb')
    return dict(inputs=list(images[:2]), data_samples=[DataSample(gt_img=gt, metainfo=meta) for gt in images[2:]])


def test_skf_acts_in_the_last_stage_only(batch, monkeypatch):
    """Before it, neither bank nor discriminator are asked, and only the first subnet is trained."""
    model = editor(dict(se=dict(type='SEModule', sources=(0, ))), **SKF).train()
    optimizers = build_optim_wrapper(
        model, dict(constructor='mmagic.MultiOptimWrapperConstructor', generator=OPTIMIZER, discriminator=OPTIMIZER))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.stage = 'decom'
    with monkeypatch.context() as patch:
        for part in (model.skb, model.discriminator):
            patch.setattr(part, 'forward', lambda *_: pytest.fail('was asked'))
        logs = model.train_step(batch, optimizers)
    assert set(logs) == {'loss', 'loss_recon', 'recon_low', 'recon_high', 'mutual_low', 'mutual_high', 'equal_reflectance',
                         'smooth_low', 'smooth_high'}
    assert logs['loss'] == logs['loss_recon']
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed and all(key.startswith('generator.decom.') for key in changed)

    model.stage = 'relight'
    with pytest.warns(UserWarning, match='semantics are random'):
        logs = model.train_step(batch, optimizers)
    assert {'loss_recon', 'relight', 'smooth', 'loss_SCH', 'loss_D_global'} <= set(logs)


def test_testing_is_the_same_in_every_stage(batch):
    model = editor().eval()
    image = torch.rand(1, 3, 20, 22)
    with torch.no_grad():
        expected = model(image)
        for model.stage in model.stages:
            assert torch.equal(model(image), expected)


def test_the_loss_of_the_stage(batch):
    model = editor().train()
    images, gt = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    for model.stage in model.stages:
        outputs = model.generator(images, None, gt, stage=model.stage)
        assert model(images, DataSample(gt_img=gt), mode='loss') == MODELS.build(RECON_LOSS[model.stage])(outputs, gt)


@pytest.mark.parametrize('recon_loss', [dict(type='mmagic.L1Loss'), dict(decom=dict(type='RetinexNetDecomLoss'))])
def test_a_loss_for_every_stage(recon_loss):
    with pytest.raises((ValueError, TypeError), match=r'recon_loss has .* the stages \[.decom., .relight.\]'):
        editor(recon_loss=recon_loss)


def test_outputs_made_with_the_ground_truth_say_so(batch):
    model = editor(dict(exposure='gt')).eval()
    assert model.test_uses_gt
    with torch.no_grad():
        results = model.test_step(batch)
        assert [result.output.note for result in results] == ['exposure from the ground truth'] * 2
        gt = torch.stack([sample.gt_img for sample in batch['data_samples']]) / 255
        inputs = torch.stack(batch['inputs']) / 255
        expected = model.generator(inputs, None, gt).image[0].clamp(0, 1) * 255
        assert torch.allclose(results[0].output.pred_img, expected[[2, 1, 0]], atol=1e-3)
        with pytest.raises(ValueError, match="there is none.*exposure='auto'"):
            model(inputs)
    model = editor().eval()
    assert not model.test_uses_gt and 'note' not in model.test_step(batch)[0].output


def test_kind_sees_the_ground_truth_at_its_full_range():
    """As the pipeline stretches what it trains with; black stays black."""
    gt = torch.tensor([51., 102, 204, 153]).reshape(1, 1, 2, 2).repeat(2, 3, 1, 1)
    gt[1] = 0
    stretched = MODELS.get('KinDEditor').ground_truth(DataSample(gt_img=gt))
    assert stretched[0, 0].flatten().tolist() == pytest.approx([0, 1 / 3, 1, 2 / 3])
    assert (stretched[1] == 0).all()


def test_names_of_the_data_parallel_wrapper():
    """That of every config, and the one it had when it was for stages only."""
    assert MODEL_WRAPPERS.get('mmskf.EditorDistributedDataParallel') is EditorDistributedDataParallel
    assert MODEL_WRAPPERS.get('mmskf.StagedSeparateDistributedDataParallel') is StagedSeparateDistributedDataParallel
    assert issubclass(StagedSeparateDistributedDataParallel, MMSeparateDistributedDataParallel)
