"""What the tests of the command line share."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

SMALL = ("--set", "widths=64", "--set", "blocks=1", "--set", "batch=8", "--set", "guidance=1")
"""A network that trains a step in milliseconds, and is sampled without guidance unless a test asks for it."""


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def write_pictures(folder: Path, count: int = 6, side: int = 10) -> Path:
    """``count`` colour pictures in each of the classes ``cat`` and ``dog``."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(folder / name / f"{i}.png")
    return folder


def picture(path: Path | str) -> Image.Image:
    """A picture, read and its file closed."""
    with Image.open(path) as file:
        file.load()
        return file
