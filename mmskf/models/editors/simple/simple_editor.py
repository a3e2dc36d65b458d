from typing import Any, NoReturn

from mmskf.models.editors.enhancement_editor import EnhancementEditor
from mmskf.registry import MODELS


@MODELS.register_module()
class SimpleEditor(EnhancementEditor):
    """Enhances images with a method that has no weights, needs no checkpoint and cannot be trained.

    Args:
        generator (dict): The method, an :class:`EnhancementNet` without parameters.
        **kwargs: See :class:`EnhancementEditor`; there is no loss.

    Raises:
        ValueError: If the generator has parameters.
    """

    def __init__(self, generator: dict, **kwargs: Any):
        super().__init__(generator, **kwargs)
        if next(self.generator.parameters(), None) is not None:
            raise ValueError(f'{type(self.generator).__name__} has weights: its editor is SKFEditor, not SimpleEditor')

    def forward_train(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises an error: there is nothing to train.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f'{type(self.generator).__name__} has no weights, so there is nothing to train: test it, or enhance '
                        'with it')
