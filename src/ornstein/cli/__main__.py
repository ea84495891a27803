"""``python -m ornstein.cli``."""

import sys

from ornstein.cli import main

sys.exit(main())
