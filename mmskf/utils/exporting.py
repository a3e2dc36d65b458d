import torch


def is_exporting() -> bool:
    """Whether ``torch.export`` traces a model; checks of values are omitted then, since it cannot trace them."""
    return torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling()
