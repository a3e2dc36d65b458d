"""Entry points for ``torch.hub``: ``torch.hub.load('OWNER/mmskf', 'enhancer')``."""
from typing import Any

dependencies = ['torch', 'torchvision', 'mmengine', 'mmcv', 'mmagic', 'mmseg']


def enhancer(model: str | None = None, weights: str | None = None, device: str | None = None) -> Any:
    """A :class:`mmskf.apis.SKFInferencer`: ``enhance('dark.jpg', out_dir='bright')``.

    Args:
        model (str, optional): Name of a model, or path of a config. Defaults to None: the model that mmskf ships.
        weights (str, optional): Its weights. Defaults to None: those in the model index.
        device (str, optional): Defaults to None: a GPU if there is one.
    """
    from mmskf.apis import SKFInferencer
    return SKFInferencer(model, weights, device)


def editor(model: str, weights: str | None = None, device: str = 'cpu') -> Any:
    """The editor of a model, a ``torch.nn.Module`` in eval mode; see :func:`mmskf.apis.init_model`."""
    from mmskf.apis import init_model
    return init_model(model, weights, device)
