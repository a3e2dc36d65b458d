from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def root():
    """The checkout, where configs and docs are."""
    return Path(__file__).resolve().parents[3]
