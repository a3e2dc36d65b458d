"""``python -m mmskf`` is the command ``mmskf``."""
import sys

from mmskf.cli import main

sys.exit(main())
