"""What a process that enhances a photo imports: libraries that take seconds are for those who use them."""
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import environment

ROOT = Path(__file__).resolve().parents[1]
# mmengine itself imports the outer shell of transformers, where it is installed, for one of its optimizers.
HEAVY = ('albumentations', 'diffusers', 'mediapipe', 'mmagic', 'mmseg.models', 'numba', 'pandas', 'scipy.stats',
         'segmentation_models_pytorch', 'skimage.restoration', 'timm', 'torch._dynamo', 'torchvision',
         'transformers.modeling_utils')
CODE = '''
import sys
import mmskf, mmskf.apis
from mmskf.cli import main
assert main(['enhance', 'dark.png', '-o', 'bright', '--device', 'cpu', *sys.argv[2:]]) == 0
print(*(name for name in sys.argv[1].split() if name in sys.modules), file=sys.stderr, end='')
'''


@pytest.mark.parametrize('options', [(), ('--model', 'clahe')])
def test_enhancing_a_photo_imports_nothing_heavy(tmp_path, options):
    """The model that comes with mmskf, with its knowledge bank; and a method without weights."""
    Image.fromarray(np.full((20, 24, 3), 20, np.uint8)).save(tmp_path / 'dark.png')
    result = subprocess.run([sys.executable, '-c', CODE, ' '.join(HEAVY), *options], cwd=tmp_path, text=True,
                            env=environment(ROOT), capture_output=True)
    assert (result.returncode, result.stderr) == (0, '')
    assert (tmp_path / 'bright/dark.png').is_file()
