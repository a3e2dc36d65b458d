import pytest
import torch
from mmagic.structures import DataSample
from mmengine.optim import build_optim_wrapper
from tiny_segmentor import SEGMENTOR

from mmskf.apis import load_config
from mmskf.models import ISSRNet, KnowledgeBank
from mmskf.registry import MODELS
from mmskf.structures import SemanticPrior

NAMES = ('floor', 'sky', 'dog', 'wall', 'light')
OPTIMIZER = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
pytestmark = pytest.mark.filterwarnings('ignore:.*semantics are random')


def editor(**changes):
    torch.manual_seed(0)
    return MODELS.build({**load_config('issr_lol').model, 'class_groups': [['sky', 'light'], ['floor']],
                         'skb': dict(type='SemanticKnowledgeBank', model=SEGMENTOR), **changes})


@pytest.fixture
def names(monkeypatch):
    monkeypatch.setattr('mmskf.models.editors.issr.issr_editor.class_names', lambda bank: list(NAMES))


@pytest.fixture
def batch():
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    meta = dict(img_channel_order='rgb', gt_channel_order='rgb')
    return dict(inputs=list(images[:2]), data_samples=[DataSample(gt_img=gt, metainfo=meta) for gt in images[2:]])


def test_labels_are_merged_by_the_table(names, monkeypatch):
    """The ground truth is segmented; what no group names is the last class."""
    model, seen = editor().train(), []
    labels = torch.arange(5).view(1, 1, 5).expand(1, 2, 5)
    scores = torch.nn.functional.one_hot(labels, 5).movedim(-1, 1).float()
    monkeypatch.setattr(model.skb, 'forward', lambda image: (seen.append(image), SemanticPrior([], scores))[1])
    inputs, gt = torch.rand(2, 1, 3, 16, 16)
    model.stage = 'segment'
    outputs = model.generate(inputs, None, gt)
    assert torch.equal(outputs.labels, torch.tensor([1, 0, 2, 2, 0]).expand(1, 2, 5))
    assert len(seen) == 1 and torch.equal(seen[0], gt)
    assert torch.equal(outputs.high, model.generator.segment(gt))
    assert torch.equal(outputs.low, model.generator.segment(model.generator.decom(inputs)[0]))


@pytest.mark.parametrize('stage, trained', [
    ('decom', {'decom'}), ('segment', {'segment'}), ('restore', {'segment', 'restore'}), ('relight', {'relight'})])
def test_what_a_stage_trains(names, batch, monkeypatch, stage, trained):
    """The segmentation is trained on with the denoising; the bank is asked only for the labels of its own stage."""
    model = editor().train()
    optimizer = build_optim_wrapper(model, OPTIMIZER)
    before = {key: value.clone() for key, value in model.generator.state_dict().items()}
    model.stage = stage
    if stage != 'segment':
        monkeypatch.setattr(model.skb, 'forward', lambda image: pytest.fail('was asked'))
    logs = model.train_step(batch, optimizer)
    terms = [value.detach() for name, value in logs.items() if 'loss' not in name]
    assert logs['loss'].item() == pytest.approx(sum(terms).item(), rel=1e-5)
    moved = {key.split('.')[0] for key, value in model.generator.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == trained


def test_testing_needs_no_bank(batch):
    model = editor(skb=None).eval()
    image = torch.rand(1, 3, 20, 22)
    with torch.no_grad():
        assert model(image).shape == image.shape
    model.train()
    with pytest.raises(ValueError, match='ISSR is trained on label maps, which a knowledge bank makes: add one'):
        model.generate(image, None, image)


def test_a_wrong_table_stops_the_first_iteration(names, batch):
    model = editor(class_groups=[['sky'], ['flor']]).train()
    model.stage = 'decom'
    with pytest.raises(ValueError, match=r"class 'flor', but .* has none of this name: choose from floor, sky, dog"):
        model.train_step(batch, build_optim_wrapper(model, OPTIMIZER))
    with pytest.raises(ValueError, match='class_groups has 1 groups, but the segmentation has 3 classes: give 2'):
        editor(class_groups=[['sky']])


def test_a_bank_without_classes_is_refused(monkeypatch):
    monkeypatch.setattr(KnowledgeBank, 'num_classes', 0)
    with pytest.raises(ValueError, match='ISSR is trained on label maps, but the knowledge bank, .* has features only'):
        editor()


@torch.no_grad()
def test_exposure():
    """By its formula, by a number, and from the ground truth."""
    torch.manual_seed(0)
    image, gt = torch.rand(2, 2, 3, 8, 12)
    nets = {exposure: ISSRNet(exposure=exposure) for exposure in ('auto', 5, 'gt')}
    means = image.mean(dim=(1, 2, 3))
    assert torch.allclose(nets['auto'].ratio(image, None), 1.2 / means)
    assert nets[5].ratio(image, None).tolist() == [5, 5]
    assert torch.allclose(nets['gt'].ratio(image, gt), 1 / (image / (gt + 1e-4)).mean(dim=(1, 2, 3)) + 1e-4)
    with pytest.raises(ValueError, match="exposure='gt' takes the brightness from the ground truth, but there is none"):
        nets['gt'](image)
    with pytest.raises(ValueError, match="exposure='dark': choose"):
        ISSRNet(exposure='dark')
