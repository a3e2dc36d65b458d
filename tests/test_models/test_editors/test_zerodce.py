import numpy as np
import pytest
import torch
from golden import Golden, shared
from mmagic.structures import DataSample
from mmengine.optim import build_optim_wrapper
from PIL import Image

from mmskf.apis import init_model, load_config
from mmskf.converters import CONVERSIONS, convert
from mmskf.converters.convert import read_source
from mmskf.datasets import EnhancementDataset
from mmskf.models import ZeroDCENet
from mmskf.models.editors.zerodce import apply_curves
from mmskf.registry import MODELS


@pytest.mark.parametrize('released', ['zero_dce_Epoch99.pth', 'npz/zerodce_epoch99.npz'])
@torch.no_grad()
def test_released_weights(released):
    """Photos enhanced with the authors' weights; both files hold the same ones."""
    golden = Golden('zerodce_real')
    weights = convert(CONVERSIONS['zerodce'], {'': read_source(shared('data/weights') / released)})['state_dict']
    net = init_model('zerodce_lol').generator
    net.load_state_dict({key.removeprefix('generator.'): value for key, value in weights.items()})
    for case in golden.cases:
        image = golden.inputs(case)['x']
        outputs = net(image)
        golden.check(case, 'enhanced', outputs.image)
        golden.check(case, 'enhanced_step4', apply_curves(image, outputs.curves[:, :12]))


def test_curves_keep_black_and_white():
    """x + r (x^2 - x): black and white stay, r = -1 brightens, the curves act one after the other."""
    image = torch.tensor([0., 0.25, 1.]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    curves = -torch.ones(1, 6, 1, 3)
    once = 0.25 + (0.25 - 0.25**2)
    assert apply_curves(image, curves)[0, 0, 0].tolist() == pytest.approx([0, once + (once - once**2), 1])


def samples(**images):
    meta = dict(img_channel_order='rgb', gt_channel_order='rgb')
    return [DataSample(metainfo=meta, **{name: image[i] for name, image in images.items()}) for i in range(2)]


def test_training_without_ground_truth():
    """Only low-light images; the loss falls."""
    cfg = load_config('zerodce_lol')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    images = torch.randint(0, 60, (2, 3, 32, 32), dtype=torch.uint8)
    losses = [model.train_step(dict(inputs=list(images), data_samples=samples()), optimizer)['loss'].item() for _ in range(10)]
    assert losses[-1] < losses[0]


def test_what_needs_a_ground_truth_says_so():
    """Other losses are named, before anything is computed."""
    cfg = load_config('zerodce_lol')
    model = MODELS.build(dict(cfg.model, sch_loss=dict(type='SCHLoss', semantic=False))).train()
    data = dict(inputs=list(torch.zeros(2, 3, 32, 32)), data_samples=samples())
    with pytest.raises(ValueError, match='no ground truth, but model.sch_loss of this config needs one: add its folder as "gt"'):
        model.train_step(data, build_optim_wrapper(model, cfg.optim_wrapper))
    model = MODELS.build(load_config('drbn_lol').model).train()
    with pytest.raises(ValueError, match='no ground truth, but model.recon_loss of this config needs one'):
        model.train_step(data, build_optim_wrapper(model, cfg.optim_wrapper))


def test_images_are_squeezed_as_released(tmp_path):
    """To 256x256, by Pillow's Lanczos filter."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    image.save(tmp_path / 'a.png')
    pipeline = load_config('zerodce_lol').train_dataloader.dataset.pipeline
    sample = EnhancementDataset(str(tmp_path), dict(img=''), pipeline=pipeline)[0]
    expected = np.asarray(image.resize((256, 256), Image.Resampling.LANCZOS))
    assert np.array_equal(sample['inputs'].permute(1, 2, 0).numpy(), expected)


def test_initial_weights():
    torch.manual_seed(0)
    assert [conv.weight.std().item() for conv in ZeroDCENet().convs] == pytest.approx([0.02] * 7, rel=0.1)
