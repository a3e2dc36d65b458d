from typing import TYPE_CHECKING, Any, Literal

import torch
from mmengine.model import is_model_wrapper

if TYPE_CHECKING:
    from mmskf.models.editors.enhancement_editor import EnhancementEditor


def compile_networks(editor: 'EnhancementEditor', options: Literal[True] | dict[str, Any] = True) -> None:
    """Compiles an editor's generator and knowledge bank with ``torch.compile``; the first calls take minutes.

    The rest of a step is left as it is: losses with regions of any number and size would be compiled again and again.

    Args:
        editor (EnhancementEditor): Compiled in place; the names of its weights stay the same.
        options (True or dict): The field ``compile`` of a config. A dict has options of ``torch.compile``: ``backend``
            ('inductor' by default), ``mode``, ``dynamic`` (True for images of many sizes). Defaults to True.

    Raises:
        RuntimeError: If the default backend lacks the C++ compiler that it needs on a CPU.
    """
    options = {} if options is True else options
    generator = editor.generator.module if is_model_wrapper(editor.generator) else editor.generator
    if options.get('backend', 'inductor') == 'inductor' and next(generator.parameters()).device.type == 'cpu':
        _check_cpp_compiler()
    for network in (generator, getattr(editor, 'skb', None)):
        if network is not None:
            network.compile(**options)


def _check_cpp_compiler() -> None:
    from torch._inductor import cpp_builder, exc
    try:
        cpp_builder.get_cpp_compiler()
    except exc.InvalidCxxCompiler as error:
        raise RuntimeError(f'torch.compile needs a C++ compiler on a CPU, and finds none of {torch._inductor.config.cpp.cxx}: '
                           'install g++, name another one in the environment variable CXX, or leave out the option compile'
                           ) from error
