"""Checks that the parts of SKF in an :class:`SKFEditor` go together."""
from typing import TYPE_CHECKING, Any

from mmengine.optim import OptimWrapperDict

if TYPE_CHECKING:
    from .skf_editor import SKFEditor

PRIOR_INPUTS = ('lq', 'pred', 'gt')
# Data preprocessors that change each image by itself and always alike.
PLAIN_PREPROCESSORS = ('EnhancementPreprocessor', 'DataPreprocessor')


def check_parts(editor: 'SKFEditor', told_se: bool) -> None:
    """Rejects parts of SKF without their prerequisites, and options that would have no effect.

    Args:
        editor (SKFEditor): Built, with all its parts.
        told_se (bool): Whether its generator was configured with SE modules.

    Raises:
        ValueError: Names the field, and what to do.
    """
    net = type(editor.generator).__name__
    for name in ('se_input', 'loss_input'):
        if getattr(editor, name) not in PRIOR_INPUTS:
            raise ValueError(f'{name}={getattr(editor, name)!r}: choose from {PRIOR_INPUTS}')
    if editor.test_passes not in (1, 2):
        raise ValueError(f'test_passes={editor.test_passes!r}: choose 1 or 2')
    if editor.sch_interval < 1:
        raise ValueError(f'sch_interval={editor.sch_interval!r}: choose 1 (every iteration) or more')
    if told_se and not editor.has_se:
        raise ValueError(f'generator.se is configured, but {net} builds no SE module from it: build an SEModuleList there, or '
                         'wrap the network in SEWrapper')
    unused = [name for name, changed, user in (
        ('se_input', editor.se_input != 'lq', editor.has_se), ('test_passes', editor.test_passes != 1, editor.has_se),
        ('loss_input', editor.loss_input != 'lq', editor.semantic_losses),
        ('sch_interval', editor.sch_interval != 1, editor.sch_loss)) if changed and not user]
    if unused:
        raise ValueError(f'{" and ".join(unused)} would act on a part of SKF that is not configured: se_input and '
                         'test_passes need generator.se, loss_input needs sch_loss or sa_loss, sch_interval needs sch_loss')
    if editor.semantic_losses and not editor.skb:
        raise ValueError(f'{" and ".join(editor.semantic_losses)} needs a semantic knowledge bank: add one of configs/skb to '
                         '_base_, or set model.skb')
    if editor.semantic_losses and editor.skb and not editor.skb.num_classes:
        raise ValueError(f'{" and ".join(editor.semantic_losses)} needs the class scores of the semantic knowledge bank, but '
                         f'{editor.skb.label} has features only, which is enough for SE modules alone: set model.skb to a bank '
                         'with a segmentation head, or '
                         f'{" and ".join(f"model.{name}=None" for name in editor.semantic_losses)}')
    if editor.skb and not (editor.has_se or editor.semantic_losses or editor.needs_labels):
        raise ValueError('There is a semantic knowledge bank, but nothing uses it: set generator.se, sch_loss or '
                         'sa_loss, or start from one of configs/skf')
    if bool(editor.sa_loss) != bool(editor.discriminator):
        raise ValueError('sa_loss and discriminator go together: one of them is missing in the model config')
    if editor.se_input == 'pred' and not editor.generator.early_image:
        raise ValueError(f"se_input='pred': {net} makes no image before its SE modules that could provide their prior: set "
                         "se_input='lq', and test_passes=2 for the prior of the result")


def check_cacheable(editor: 'SKFEditor') -> None:
    """Rejects editors whose knowledge bank sees more in training than the low-light images, one by one.

    Raises:
        ValueError: Names the fields, and what to do.
    """
    bank = editor.skb
    if bank is None or not (editor.has_se or editor.semantic_losses):
        raise ValueError('No part of this model reads the prior of a low-light image, so PriorCacheHook has nothing to do: use '
                         'it with one of configs/skf')
    preprocessor = type(editor.data_preprocessor).__name__
    problems = [problem for problem, found in {
        f'model.se_input={editor.se_input!r}, which is not the low-light image': editor.has_se and editor.se_input != 'lq',
        f'model.loss_input={editor.loss_input!r}, which is not the low-light image':
            editor.semantic_losses and editor.loss_input != 'lq',
        f'{type(editor).__name__}, whose bank sees the ground truth': editor.needs_labels,
        "model.skb.bn='batch', with which a prior depends on the other images of the batch": bank.bn == 'batch',
        'model.skb.image_size, to which a crop is resized like the whole image': bank.image_size,
        f'model.data_preprocessor.type={preprocessor!r}, which may change images after they are loaded':
            preprocessor not in PLAIN_PREPROCESSORS
    }.items() if found]
    if problems:
        raise ValueError(f'PriorCacheHook does not work with {"; nor with ".join(problems)}: change that, or train without the '
                         'hook')


def check_two_optimizers(optim_wrapper: Any) -> None:
    """Rejects what is not one optimizer wrapper each for the generator and the discriminator.

    Raises:
        ValueError: Names the field, and what to do.
    """
    if not isinstance(optim_wrapper, OptimWrapperDict) or set(optim_wrapper.keys()) != {'generator', 'discriminator'}:
        raise ValueError('With a discriminator, optim_wrapper needs constructor="mmagic.MultiOptimWrapperConstructor" and one '
                         'wrapper each for "generator" and "discriminator"; or, in the scope mmskf, no constructor but '
                         'overrides for the discriminator: see EditorOptimWrapperConstructor')
