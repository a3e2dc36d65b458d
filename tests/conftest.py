import sys
from pathlib import Path

import pytest
from mmengine import DefaultScope

sys.path.insert(0, str(Path(__file__).parent))

import mmskf  # noqa: E402, F401


@pytest.fixture(autouse=True)
def mmskf_scope():
    """Types without a prefix are mmskf's, as in every config."""
    DefaultScope.get_instance('mmskf', scope_name='mmskf')
