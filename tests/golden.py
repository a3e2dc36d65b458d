"""Reads golden files: inputs and outputs of the reference implementations, and the weights they had, made by rule."""
import json
import os
import sys
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get('MMSKF_SHARED', HERE.parents[1] / 'shared'))
FOLDERS = (HERE / 'data' / 'golden', SHARED / 'golden')

sys.path.insert(0, str(FOLDERS[0]))
from fill import fill_state_dict, resize_bilinear, soft_map  # noqa: E402


def shared(path):
    """A path of the material beside the checkout (real photos, released weights); the test skips where it is absent."""
    path = SHARED / path
    if not path.exists():
        pytest.skip(f'needs {path.name} of the shared material, which is not part of the project')
    return path


def golden_file(name):
    """The path of a golden file; the test skips where it is absent."""
    path = next((folder / name for folder in FOLDERS if (folder / name).exists()), None)
    return path or pytest.skip(f'golden file {name} is not here')


def parse_index(text):
    """The index that a text such as '[:, ::16, 3::7]' is: a tuple of slices."""
    parts = [[int(number) if number.strip() else None for number in part.split(':')] for part in text.strip('[]').split(',')]
    return tuple(slice(*part) for part in parts)


class Golden:
    """One golden set.

    Args:
        name (str): File name without ending, as in ``tests/data/golden``.
    """

    def __init__(self, name):
        self.name = name
        self.meta = json.loads(golden_file(f'{name}.json').read_text())

    @cached_property
    def data(self):
        """Inputs and outputs; the weights are there without them."""
        return np.load(golden_file(f'{self.name}.npz'))

    @property
    def cases(self):
        return sorted({key.split('/')[0] for key in self.data.files})

    def weights(self):
        """The reference's state dict under the authors' keys."""
        shapes = {key: value['shape'] for key, value in self.meta['state_dict'].items()}
        return {key: torch.from_numpy(np.asarray(value))
                for key, value in fill_state_dict(shapes, self.meta.get('recipe')).items()}

    def inputs(self, case):
        """name -> tensor; coarse class scores stay coarse (see ``fill.py`` for the full-size map made of them)."""
        prefix = f'{case}/in/'
        return {key[len(prefix):]: torch.from_numpy(self.data[key]) for key in self.data.files if key.startswith(prefix)}

    def features(self, case):
        """The four semantic features of a case."""
        inputs = self.inputs(case)
        return [inputs[f'seg_fea{i}'] for i in range(4) if f'seg_fea{i}' in inputs]

    def full_logits(self, case, size):
        """Class scores at the size of the image, (N, classes, H, W) float32; None where the set has none."""
        coarse = self.inputs(case).get('seg_logits_coarse')
        if coarse is not None:
            return torch.from_numpy(resize_bilinear(coarse.numpy(), *size).astype(np.float32))

    def full_probs(self, case, size):
        """Class probabilities at the size of the image, (N, classes, H, W)."""
        return torch.from_numpy(soft_map(self.inputs(case)['seg_logits_coarse'].numpy(), *size))

    def check(self, case, name, value):
        """Asserts that an output equals the reference's within its stated tolerance."""
        output = self.meta['outputs'][name]
        spec = output['cases'][case]
        value = value.detach().cpu().numpy()
        assert list(value.shape) == spec['shape'], f'{name} of {case}: shape {value.shape}, expected {spec["shape"]}'
        if output['stored'] != 'all':
            value = value[parse_index(output['stored'])]
        expected = self.data[f'{case}/out/{name}'].astype(np.float64)
        difference = np.abs(value - expected)
        if 'allowed_mismatch_fraction' in spec:
            assert (difference > 0).mean() <= spec['allowed_mismatch_fraction'], f'{name} of {case}'
        else:
            excess = difference - spec['atol'] - spec.get('rtol', 0) * np.abs(expected)
            assert excess.max() <= 0, f'{name} of {case}: off by {difference.max():.3g}, {excess.max():.3g} too much'
