"""The four LLFlow networks against the reference, and the whole of LLFlow-S-SKF."""
import numpy as np
import pytest
import torch
from golden import Golden
from mmagic.structures import DataSample

from mmskf.apis import init_model
from mmskf.converters import CONVERSIONS
from mmskf.datasets import AppendEqualized
from mmskf.evaluation.gt_mean import gt_mean_llflow
from mmskf.models import FlowOutputs
from mmskf.structures import SemanticPrior
from mmskf.utils.image import to_float_rgb

PARAMETERS = dict(llflow_s=4_967_635, llflow_l=37_677_395, llflow_s_skf=5_260_405, llflow_l_skf=39_905_177)
# One image is enough for the large networks.
CASES = [(method, case) for method in sorted(PARAMETERS) for case in ('a_64x96', 'b_72x104')
         if not (method.startswith('llflow_l') and case == 'a_64x96')]
each_case = pytest.mark.parametrize('reference, case', CASES, indirect=['reference'], scope='module')


class Reference:
    """A golden set and the editor of its method with the same weights."""

    def __init__(self, method):
        self.method, self.golden = method, Golden(method)
        self.editor = init_model(CONVERSIONS[method].model)
        self.net = self.editor.generator
        self.net.load_state_dict(CONVERSIONS[method].rename(self.golden.weights()))

    def prior(self, case):
        if not self.method.endswith('_skf'):
            return None
        size = self.golden.inputs(case)['lr'].shape[-2:]
        return SemanticPrior(self.golden.features(case), self.golden.full_logits(case, size))

    def gradients(self, loss, names):
        """Gradients by the authors' names."""
        weights = dict(self.net.named_parameters())
        ours = [next(iter(CONVERSIONS[self.method].rename({name: None}))) for name in names]
        return torch.autograd.grad(loss, [weights[name] for name in ours])


@pytest.fixture(scope='module')
def reference(request):
    return Reference(request.param)


def bits(editor, outputs, gt, prior=None):
    """The summed loss of every image."""
    losses = []
    for n in range(len(gt)):
        one = FlowOutputs(outputs.latent[n:n + 1], outputs.mean[n:n + 1], outputs.logdet[n:n + 1])
        labels = prior and SemanticPrior((), prior.logits[n:n + 1])
        losses.append(sum(editor.losses(one, gt[n:n + 1], labels).values()))
    return torch.stack(losses)


def check_likelihood_and_gradients(reference, case):
    golden, editor, prior = reference.golden, reference.editor, reference.prior(case)
    inputs = golden.inputs(case)
    gt = inputs['gt']
    outputs = reference.net(inputs['lr'], prior, gt)
    golden.check(case, 'z', outputs.latent)
    golden.check(case, 'logdet', outputs.logdet)
    of_gt = outputs._replace(mean=gt / (gt.sum(dim=1, keepdim=True) + 1e-4))
    loss = bits(editor, outputs, gt, prior)
    golden.check(case, 'nll_cm', loss)
    golden.check(case, 'nll_gt', bits(editor, of_gt, gt, prior))
    names = [name.split(':')[1] for name in golden.meta['outputs'] if name.startswith('grad_cm:')]
    for name, gradient in zip(names, reference.gradients(loss.mean(), names)):
        golden.check(case, f'grad_cm:{name}', gradient)


@each_case
def test_likelihood_and_gradients(reference, case):
    check_likelihood_and_gradients(reference, case)


@pytest.mark.parametrize('reference, case', [('llflow_l', 'b_72x104'), ('llflow_s_skf', 'a_64x96')], indirect=['reference'])
def test_without_keeping_activations(reference, case):
    """A flow that restores them, and an encoder and SE modules that compute them again."""
    reference.net.flow.reversible = True
    for module in reference.net.modules():
        if hasattr(module, 'with_cp'):
            module.with_cp = True
    check_likelihood_and_gradients(reference, case)


@pytest.fixture(scope='module')
def whole():
    """LLFlow-S-SKF with the weights that the end-to-end figures were made with, knowledge bank included."""
    reference = Reference('llflow_s_skf')
    bank = CONVERSIONS['hrnet_w48_pascal59'].rename(Golden('hrnet_w48_pascal59').weights())
    reference.editor.skb.segmentor.load_state_dict(bank)
    reference.editor.skb.loaded = True
    return reference


@pytest.fixture(scope='module')
def end_to_end():
    return Golden('e2e_llflow_s_skf')


def packed(image, gt):
    """What the test pipeline hands to the model, from uint8 RGB arrays (H, W, 3)."""
    image = AppendEqualized()(dict(img=image))['img']
    image, gt = (torch.from_numpy(array.transpose(2, 0, 1).copy()) for array in (image, gt))
    meta = dict(img_channel_order='rgb', gt_channel_order='rgb')
    return dict(inputs=[image], data_samples=[DataSample(gt_img=gt, metainfo=meta)])


def test_testing(whole, end_to_end):
    """From the 8-bit image to the image whose brightness is corrected as LLFlow's test does it."""
    case = 'batch2_64x96'
    inputs = end_to_end.inputs(case)
    image, gt = (inputs[key][0].numpy() for key in ('low_u8', 'gt_u8'))
    with torch.no_grad():
        result, = whole.editor.test_step(packed(image, gt))
        prior = whole.editor.skb(torch.from_numpy(image.transpose(2, 0, 1).copy())[None] / 255)
    end_to_end.check(case, 'test_seg_argmax', prior.labels)
    end_to_end.check(case, 'test_seg_feat0', prior.features[0])
    unclamped = to_float_rgb(result.output.unclamped_img)
    end_to_end.check(case, 'test_sr', torch.from_numpy(unclamped.transpose(2, 0, 1).copy())[None] / 255)
    assert torch.equal(result.output.unclamped_img.clamp(0, 255), result.output.pred_img)
    expected = end_to_end.data[f'{case}/out/test_final_float'][0].transpose(1, 2, 0)
    difference = np.abs(gt_mean_llflow(unclamped, gt.astype(np.float32)) - np.floor(255 * expected))
    assert difference.max() <= 1 and (difference > 0).mean() < 0.01


def test_training(whole, end_to_end):
    case, editor = 'batch2_64x96', whole.editor
    inputs = end_to_end.inputs(case)
    images = torch.cat([inputs['low_u8'].permute(0, 3, 1, 2) / 255, inputs['lr'][:, 3:]], dim=1)
    for ratio, name in ((1, 'train_nll_gt'), (0, 'train_nll_cm')):
        editor.train_gt_ratio = ratio
        outputs, prior = editor.reconstruct(images, inputs['gt'])
        loss = bits(editor, outputs, inputs['gt'], prior)
        end_to_end.check(case, name, loss)
    end_to_end.check(case, 'train_seg_argmax', prior.labels)
    names = [name.split(':')[1] for name in end_to_end.meta['outputs'] if name.startswith('train_grad:')]
    for name, gradient in zip(names, whole.gradients(loss.mean(), names)):
        end_to_end.check(case, f'train_grad:{name}', gradient)
