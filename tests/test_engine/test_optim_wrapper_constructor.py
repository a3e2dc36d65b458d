import pytest
from mmengine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper
from torch import nn

from mmskf.engine import EditorOptimWrapperConstructor

WRAPPER = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.99)), clip_grad=dict(max_norm=1.))


class Editor(nn.Module):

    def __init__(self, discriminator=True):
        super().__init__()
        self.generator = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Linear(3, 3))
        self.discriminator = nn.Conv2d(3, 1, 1, bias=False) if discriminator else None


def shapes(wrapper):
    return [tuple(weight.shape) for group in wrapper.optimizer.param_groups for weight in group['params']]


def test_one_optimizer_without_a_discriminator():
    """Settings of a discriminator that the model lacks do nothing."""
    wrapper = build_optim_wrapper(Editor(False), dict(WRAPPER, discriminator=dict(optimizer=dict(lr=1e-4))))
    assert type(wrapper) is OptimWrapper and wrapper.get_lr() == dict(lr=[1e-3])
    assert shapes(wrapper) == [(3, 3, 1, 1), (3, ), (3, 3), (3, )]


def test_a_discriminator_is_trained_as_the_generator_but_for_what_differs():
    wrappers = build_optim_wrapper(Editor(), WRAPPER)
    assert isinstance(wrappers, OptimWrapperDict) and set(wrappers.keys()) == {'generator', 'discriminator'}
    assert [wrapper.optimizer.defaults['lr'] for wrapper in wrappers.values()] == [1e-3, 1e-3]
    changes = dict(optimizer=dict(lr=1e-5), clip_grad=None)
    wrappers = build_optim_wrapper(Editor(), dict(WRAPPER, discriminator=changes))
    generator, discriminator = wrappers['generator'], wrappers['discriminator']
    assert shapes(generator) == [(3, 3, 1, 1), (3, ), (3, 3), (3, )] and shapes(discriminator) == [(1, 3, 1, 1)]
    assert (generator.optimizer.defaults['lr'], discriminator.optimizer.defaults['lr']) == (1e-3, 1e-5)
    assert generator.optimizer.defaults['betas'] == discriminator.optimizer.defaults['betas'] == (0.9, 0.99)
    assert generator.clip_grad_kwargs == dict(max_norm=1.) and not discriminator.clip_grad_kwargs
    other = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.1))
    assert type(build_optim_wrapper(Editor(), dict(WRAPPER, discriminator=other))['discriminator'].optimizer).__name__ == 'SGD'
    assert changes == dict(optimizer=dict(lr=1e-5), clip_grad=None)


def test_layers_of_each_part_have_their_own_settings():
    wrappers = build_optim_wrapper(Editor(), dict(
        WRAPPER, paramwise_cfg=dict(custom_keys={'1.': dict(lr_mult=0.1)}),
        discriminator=dict(paramwise_cfg=dict(bias_lr_mult=2))))
    rates = [group['lr'] for group in wrappers['generator'].optimizer.param_groups]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])
    assert [group['lr'] for group in wrappers['discriminator'].optimizer.param_groups] == [1e-3]


def test_mmagic_s_constructor_takes_wrappers_as_they_are():
    wrappers = build_optim_wrapper(Editor(), dict(
        constructor='mmagic.MultiOptimWrapperConstructor', generator=WRAPPER,
        discriminator=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))))
    assert wrappers['discriminator'].get_lr() == dict(lr=[0.1])


@pytest.mark.parametrize('discriminator', [True, False])
def test_what_differs_for_the_generator_alone(discriminator):
    wrapper = EditorOptimWrapperConstructor(dict(WRAPPER, generator=dict(optimizer=dict(lr=1))))(Editor(discriminator))
    assert wrapper.get_lr() == ({'generator.lr': [1], 'discriminator.lr': [1e-3]} if discriminator else dict(lr=[1]))
