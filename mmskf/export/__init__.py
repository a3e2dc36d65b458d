"""Exports models to files that run without mmskf's training code, and runs such files.

No library is imported here: :mod:`mmskf.export.runtime` needs neither PyTorch nor OpenMMLab.
"""
from pathlib import PurePath
from typing import Any

#: The extensions of exported files: ONNX, and programs of ``torch.export``.
ONNX, PROGRAM = '.onnx', '.pt2'


def is_exported(model: Any) -> bool:
    """Whether a model is named by an exported file, not by a config or a name."""
    return isinstance(model, (str, PurePath)) and PurePath(model).suffix.lower() in (ONNX, PROGRAM)


__all__ = ['ONNX', 'PROGRAM', 'is_exported']
