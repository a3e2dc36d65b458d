from types import SimpleNamespace

import pytest
import torch
from mmagic.structures import DataSample
from tiny import loader, runner_for_training, write_pairs

from mmskf.registry import HOOKS

PHASES = [dict(iters=2, batch_size=3, patch_size=8), dict(iters=1, batch_size=2, patch_size=12),
          dict(iters=1, batch_size=1, patch_size=16)]


def batch(images=4, size=16):
    """Images whose values say where they were; the ground truth of each is its negative."""
    values = torch.arange(images * size**2).view(images, 1, size, size)
    return dict(inputs=list(values), data_samples=[DataSample(gt_img=-value, metainfo=dict(key=str(i)))
                                                   for i, value in enumerate(values)])


def reduced(hook, iteration, seed=0, **options):
    data = batch(**options)
    hook.before_train_iter(SimpleNamespace(iter=iteration, seed=seed), iteration, data)
    return data


def test_phases():
    """Fewer and larger patches from phase to phase; the last one goes on."""
    hook = HOOKS.build(dict(type='ProgressivePatchHook', phases=PHASES))
    shapes = []
    for iteration in range(6):
        data = reduced(hook, iteration)
        shapes.append((len(data['inputs']), *data['inputs'][0].shape[1:]))
        assert len(data['data_samples']) == len(data['inputs'])
    assert shapes == [(3, 8, 8), (3, 8, 8), (2, 12, 12), (1, 16, 16), (1, 16, 16), (1, 16, 16)]


def test_one_window_for_all():
    """Image and ground truth stay together, the position in all images is the same, and no image comes twice."""
    hook, seen, chosen = HOOKS.build(dict(type='ProgressivePatchHook', phases=PHASES)), set(), set()
    for seed in range(40):
        data = reduced(hook, 0, seed)
        corners = [int(image[0, 0, 0]) for image in data['inputs']]
        assert len({corner % 256 for corner in corners}) == 1 and len({corner // 256 for corner in corners}) == 3
        for image, sample, corner in zip(data['inputs'], data['data_samples'], corners):
            assert torch.equal(sample.gt_img, -image) and sample.key == str(corner // 256)
            assert image[0, 7, 7] - image[0, 0, 0] == 7 * 16 + 7
        seen.add(divmod(corners[0] % 256, 16))
        chosen.update(corner // 256 for corner in corners)
    assert chosen == {0, 1, 2, 3}
    assert {row for row, _ in seen} == {column for _, column in seen} == set(range(9))


def test_small_batches_and_images_are_left_as_they_are():
    data = reduced(HOOKS.build(dict(type='ProgressivePatchHook', phases=PHASES)), 0, images=2, size=6)
    assert len(data['inputs']) == 2 and data['inputs'][0].shape == (1, 6, 6)


def test_without_ground_truth():
    """As in the training of Zero-DCE."""
    data = dict(inputs=[torch.zeros(3, 16, 16)], data_samples=[DataSample()])
    HOOKS.build(dict(type='ProgressivePatchHook', phases=PHASES)).before_train_iter(SimpleNamespace(iter=0, seed=0), 0, data)
    assert data['inputs'][0].shape == (3, 8, 8)


def test_it_depends_on_seed_and_iteration_only():
    hook = HOOKS.build(dict(type='ProgressivePatchHook', phases=PHASES))
    first = reduced(hook, 0)
    torch.rand(3)
    assert all(torch.equal(*pair) for pair in zip(first['inputs'], reduced(hook, 0)['inputs']))
    for other in (reduced(hook, 1), reduced(hook, 0, seed=1)):
        assert not all(torch.equal(*pair) for pair in zip(first['inputs'], other['inputs']))


def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path):
    pairs, weights = write_pairs(tmp_path / 'data', names=[f'{i}.png' for i in range(6)]), []
    for name, resume in (('whole', {}), ('resumed', dict(resume=True, load_from=str(tmp_path / 'whole' / 'iter_2.pth')))):
        hooks = [dict(type='ProgressivePatchHook', phases=PHASES)]
        runner = runner_for_training(tmp_path / name, pairs, hooks, iterations=5, lr=1., randomness=dict(seed=3), **resume)
        runner._train_dataloader = loader(pairs, batch_size=4)
        runner.train()
        weights.append(runner.model.state_dict())
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


@pytest.mark.parametrize('phases, message', [
    ([], 'phases is empty'),
    ([dict(iters=1, batch_size=2)], 'each takes iters, batch_size, patch_size'),
    ([dict(iters=1, batch_size=0, patch_size=8)], 'integers of 1 or more')])
def test_faulty_phases(phases, message):
    with pytest.raises(ValueError, match=message):
        HOOKS.build(dict(type='ProgressivePatchHook', phases=phases))
