import torch

from mmskf.structures import SemanticPrior


def test_semantic_prior():
    logits = torch.tensor([[0., 2.], [3., 1.]]).reshape(1, 2, 1, 2).requires_grad_()
    prior = SemanticPrior([torch.ones(1, 4, 1, 1, requires_grad=True)], logits)
    assert prior.labels.tolist() == [[[1, 0]]] and prior.labels.dtype == torch.int64
    assert torch.allclose(prior.probs[0, :, 0, 0], torch.tensor([1 / (1 + torch.e**3), 1 / (1 + torch.e**-3)]))
    assert prior.probs is prior.probs
    assert prior.source(0) is prior.features[0] and prior.source('logits') is logits
    assert prior.probs.requires_grad
    detached = prior.detach()
    assert not detached.probs.requires_grad and not detached.features[0].requires_grad
