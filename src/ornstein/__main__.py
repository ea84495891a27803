"""``python -m ornstein``, which is what torchrun starts."""

import sys

from ornstein.cli import main

sys.exit(main())
