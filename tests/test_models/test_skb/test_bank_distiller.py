import pytest
import torch
from mmagic.structures import DataSample
from tiny_segmentor import SEGMENTOR

from mmskf.models import BankDistiller
from mmskf.models.skb.bank_distiller import distance
from mmskf.structures import SemanticPrior


@pytest.fixture
def distiller(tmp_path):
    """Of a bank with weights in a file."""
    torch.manual_seed(0)
    cfg = dict(type='SemanticKnowledgeBank', model=SEGMENTOR)
    first = BankDistiller(cfg)
    for module in first.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    torch.save(first.network.state_dict(), tmp_path / 'bank.pth')
    model = BankDistiller(dict(cfg, checkpoint=str(tmp_path / 'bank.pth')))
    model.init_weights()
    return model


@pytest.fixture
def data():
    gt = torch.rand(2, 3, 64, 64)
    return dict(inputs=gt / 5, data_samples=DataSample(gt_img=gt))


def test_only_the_student_learns(distiller, data):
    teacher = {key: value.clone() for key, value in distiller.teacher.network.state_dict().items()}
    statistics = {key: value.clone() for key, value in distiller.network.state_dict().items() if 'running' in key}
    optimizer = torch.optim.Adam(distiller.parameters(), 3e-3)
    distiller.train()
    dark = []
    for _ in range(25):
        losses = distiller(**data, mode='loss')
        dark.append(losses['loss_dark'].item())
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    assert dark[-1] < 0.8 * dark[0], dark
    assert all(torch.equal(value, teacher[key]) for key, value in distiller.teacher.network.state_dict().items())
    assert all(torch.equal(distiller.network.state_dict()[key], value) for key, value in statistics.items())
    assert {key.split('.')[0] for key in distiller.state_dict()} == {'network'}
    assert torch.equal(distiller(data['inputs']).logits, distiller.student(data['inputs']).logits)


def test_it_starts_from_the_weights_of_the_bank(distiller, data):
    losses = distiller(**data, mode='loss')
    assert abs(losses['loss_keep'].item()) < 1e-5 and losses['loss_dark'] > 0.01


def test_distance():
    """One level at right angles, one equal; certain of one class where the target is undecided between two."""
    features = [torch.tensor([1., 0.]).view(1, 2, 1, 1), torch.ones(1, 2, 1, 1)]
    target = [torch.tensor([0., 3.]).view(1, 2, 1, 1), 2 * torch.ones(1, 2, 1, 1)]
    probs = torch.tensor([0.9, 0.1], dtype=torch.float64).view(1, 2, 1, 1)
    assert distance(SemanticPrior(features), SemanticPrior(target)).item() == pytest.approx(0.5)
    value = distance(SemanticPrior(features, probs.log()), SemanticPrior(target, torch.zeros(1, 2, 1, 1, dtype=torch.float64)))
    assert value.item() == pytest.approx(0.5 + 0.5 * (torch.tensor([0.5 / 0.9, 0.5 / 0.1]).log().sum().item()), rel=1e-6)
