import pytest
import torch
from golden import Golden
from mmagic.structures import DataSample

from mmskf.apis import init_model
from mmskf.converters import CONVERSIONS
from mmskf.structures import SemanticPrior

CASES = ['a_64x96', 'b_72x104']


@pytest.fixture(scope='module')
def golden():
    return Golden('drbn_skf')


@pytest.fixture(scope='module')
def editor(golden):
    model = init_model('drbn_skf_lol_official')
    model.generator.load_state_dict(CONVERSIONS['drbn_skf'].rename(golden.weights()))
    return model


def given_prior(golden, case):
    size = golden.inputs(case)['x'].shape[-2:]
    return SemanticPrior(golden.features(case), golden.full_logits(case, size))


def third_recurrence(net, image):
    """What the recurrence before the last yields: images and features at three scales."""
    seen = []
    handle = net.recurrences[2].register_forward_hook(lambda module, inputs, output: seen.append(output))
    net(image)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize('case', CASES)
def test_golden(editor, golden, case):
    image = golden.inputs(case)['x'].requires_grad_()
    outputs = editor.generator(image, given_prior(golden, case))
    for name, output in zip(('res1', 'res2', 'res4'), outputs):
        golden.check(case, name, output)
    gradient, = torch.autograd.grad(sum((output**2).mean() for output in outputs), image)
    golden.check(case, 'grad_mean_sq_wrt_x', gradient)


@pytest.mark.parametrize('case', CASES)
def test_golden_before_semantics_enter(editor, golden, case):
    image = golden.inputs(case)['x']
    with torch.no_grad():
        images, features = third_recurrence(editor.generator, image)
        golden.check(case, 'noseg_res1', editor.generator(image)[0])
    for scale, picture, feature in zip((1, 2, 4), images, features):
        golden.check(case, f'g3_res{scale}', picture)
        golden.check(case, f'g3_feat{scale}', feature)


@pytest.fixture(scope='module')
def whole(editor):
    """The official editor with the weights that the end-to-end figures were made with: network, knowledge bank and D."""
    bank = CONVERSIONS['hrnet_w48_pascal59'].rename(Golden('hrnet_w48_pascal59').weights())
    editor.skb.segmentor.load_state_dict(bank)
    editor.skb.loaded = True
    editor.discriminator.load_state_dict(Golden('sa_loss_drbn').weights())
    return editor


def test_end_to_end(whole):
    """Segmentation and enhancement together: the test pipeline, and the training loss with its gradients. In float64, since a
    ReLU on its edge makes float32 gradients depend on the number of threads."""
    golden, case = Golden('e2e_drbn_skf'), 'batch2_64x96'
    inputs = {name: value.double() for name, value in golden.inputs(case).items()}
    whole.double()
    with torch.no_grad():
        golden.check(case, 'res1', whole(inputs['x']))

    whole.train()
    outputs, prior = whole.reconstruct(inputs['x'], inputs['gt'])
    for name, output in zip(('res1', 'res2', 'res4'), outputs):
        golden.check(case, name, output)
    golden.check(case, 'seg_argmax', prior.labels)
    detached = SemanticPrior((), prior.logits.detach())
    d_losses = whole.sa_loss.discriminator_loss(whole.discriminator, outputs[0].detach(), inputs['gt'], detached)
    golden.check(case, 'loss_D', sum(d_losses.values()))

    losses = whole.losses(outputs, inputs['gt'], prior)
    golden.check(case, 'rect_loss', losses['loss_recon'])
    golden.check(case, 'hist_loss', losses['loss_SCH'])
    loss_g = sum(value for name, value in losses.items() if 'sa' in name.lower()) / whole.sa_loss.loss_weight
    golden.check(case, 'loss_G', loss_g)
    golden.check(case, 'full_loss', sum(losses.values()))

    weights = dict(whole.generator.named_parameters())
    for loss, title in ((sum(losses.values()), 'full_grad'), (loss_g, 'loss_G_grad')):
        names = [name for name in golden.meta['outputs'] if name.startswith(f'{title}:')]
        ours = [next(iter(CONVERSIONS['drbn_skf'].rename({name.split(':')[1]: None}))) for name in names]
        gradients = torch.autograd.grad(loss, [weights[name] for name in ours], retain_graph=True)
        for name, gradient in zip(names, gradients):
            golden.check(case, name, gradient)
    whole.eval().float()


def test_training_step_moves_network_and_discriminator(whole):
    from mmengine.optim import OptimWrapper, OptimWrapperDict
    before = {name: weight.clone() for name, weight in whole.state_dict().items()}
    bank = {name: weight.clone() for name, weight in whole.skb.segmentor.state_dict().items()}
    optimizers = OptimWrapperDict(**{
        name: OptimWrapper(torch.optim.Adam(getattr(whole, name).parameters(), lr=1e-4))
        for name in ('generator', 'discriminator')
    })
    images = torch.randint(0, 256, (2, 2, 3, 64, 64), dtype=torch.uint8)
    meta = dict(img_channel_order='rgb', gt_channel_order='rgb')
    data = dict(inputs=list(images[0]), data_samples=[DataSample(gt_img=gt, metainfo=meta) for gt in images[1]])
    logs = whole.train().train_step(data, optimizers)
    whole.eval()
    assert {'loss', 'loss_recon', 'loss_SCH'} < set(logs)
    after = whole.state_dict()
    changed = {name.split('.')[0] for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert changed == {'generator', 'discriminator'}
    assert all(torch.equal(weight, whole.skb.segmentor.state_dict()[name]) for name, weight in bank.items())
