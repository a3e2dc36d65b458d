import pytest
import torch
from networks import NETWORKS, small_prior
from tiny_llflow import tiny_llflow
from tiny_segmentor import SEGMENTOR

from mmskf.engine.compiling import compile_networks
from mmskf.models.editors.enhancement_editor import full_size

# The networks of the paper; LLFlow-L is LLFlow-S with other numbers.
PAPER = ('retinexnet', 'kind', 'kindpp', 'drbn', 'hwmnet', 'snr', 'llflow_s')


@pytest.fixture(autouse=True)
def forget_graphs():
    yield
    torch._dynamo.reset()


class Graphs:
    """A backend that runs the graphs as they are, and counts them."""

    def __init__(self):
        self.count = 0

    def __call__(self, graph, inputs):
        self.count += 1
        return graph.forward


@pytest.mark.parametrize('name', PAPER)
def test_networks_are_one_graph(name):
    """In training, with SE modules; LLFlow from its second batch, since the first may initialize it."""
    net, graphs = NETWORKS[name].build_small().train(), Graphs()
    inputs = [torch.rand(1, net.input_channels, 32, 64), small_prior(32, 64)]
    if name.startswith('llflow'):
        inputs.append(torch.rand(1, 3, 32, 64))
    expected = net(*inputs)
    net.compile(backend=graphs, fullgraph=True)
    torch.testing.assert_close(full_size(net(*inputs)), full_size(expected))
    assert graphs.count == 1


def test_the_first_batch_initializes_a_compiled_flow():
    model, graphs = tiny_llflow().train(), Graphs()
    for name, weight in model.generator.flow.named_parameters():
        if name.endswith('actnorm.bias'):
            torch.nn.init.zeros_(weight)
    compile_networks(model, dict(backend=graphs))
    lq, gt = torch.rand(2, 6, 16, 16), torch.rand(2, 3, 16, 16)
    for _ in range(3):
        latent = model.generator(lq, None, gt).latent
    assert graphs.count <= 3  # before the flow and after it; then the whole
    assert all(weight.any() for name, weight in model.generator.flow.named_parameters() if name.endswith('actnorm.bias'))
    torch.testing.assert_close(latent, tiny_copy(model)(lq, None, gt).latent)


def tiny_copy(model):
    other = tiny_llflow().generator
    other.load_state_dict(model.generator.state_dict())
    return other.train()


def test_generator_and_bank_are_compiled():
    model = tiny_llflow(dict(se=dict(type='SEModule', sources=(2, 1, 0), heads=1)),
                        skb=dict(type='SemanticKnowledgeBank', model=SEGMENTOR))
    image, graphs, keys = torch.rand(1, 3, 40, 56), Graphs(), list(model.state_dict())
    model.skb.load()
    expected = model.skb(image)
    compile_networks(model, dict(backend=graphs))
    prior = model.skb(image)
    of_bank = graphs.count
    assert of_bank and torch.equal(prior.logits, expected.logits)
    model.generator(torch.rand(1, 6, 40, 56), prior)
    assert graphs.count > of_bank and list(model.state_dict()) == keys


def test_a_missing_cpp_compiler_is_said_before_work(monkeypatch):
    monkeypatch.setattr(torch._inductor.config.cpp, 'cxx', ('no-such-compiler', ))
    with pytest.raises(RuntimeError, match='needs a C[+][+] compiler on a CPU.*no-such-compiler.*install g[+][+]'):
        compile_networks(tiny_llflow())
