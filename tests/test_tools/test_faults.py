import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_struck_trainings_go_on_to_the_same_weights():
    """One of most kinds of faults; ``tests/faults.py`` alone does fifty."""
    result = subprocess.run(
        [sys.executable, str(ROOT / 'tests' / 'faults.py'), '--count', '5', '--faults', 'write', 'disk', 'term', 'worker', 'image'],
        env=dict(os.environ, OMP_NUM_THREADS='1'), capture_output=True, text=True)
    assert result.returncode == 0 and '5 of 5 went on' in result.stdout, result.stdout + result.stderr[-3000:]
