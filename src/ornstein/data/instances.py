"""Pictures of rectangles and ellipses with their boxes and masks: an example of data for finding instances."""

from __future__ import annotations

import numpy as np
import torch

from ornstein.core.errors import UsageError
from ornstein.core.rng import Stream
from ornstein.data.dataset import Images

KINDS = ("rectangle", "ellipse")


def shapes(n: int, size: int = 32, seed: int = 0, most: int = 3, channels: int = 1) -> Images:
    """1 to ``most`` filled shapes a picture, on noise; later ones lie above earlier ones, whose masks and boxes are what is seen.

    Conditions: ``boxes [N, most, 4]`` corners in [0, 1], ``kinds [N, most]`` (-1: none), ``masks [N, most, size, size]`` of 0, 1.

    Raises:
        UsageError: a size below 8, or fewer than one picture or shape.
    """
    if n < 1 or size < 8 or most < 1:
        raise UsageError(f"shapes need n >= 1, size >= 8 and most >= 1, got {n}, {size} and {most}")
    rng = Stream(seed)
    count = 1 + rng.integers(most, (n, 1))
    there = torch.arange(most) < count
    kinds = rng.integers(len(KINDS), (n, most))
    half = (0.1 + 0.15 * rng.uniform((n, most, 2)))[..., None, None]
    at = half + (1 - 2 * half) * rng.uniform((n, most, 2))[..., None, None]
    place = (torch.arange(size) + 0.5) / size
    x, y = (place[None] - at[:, :, 0]) / half[:, :, 0], (place[:, None] - at[:, :, 1]) / half[:, :, 1]
    square, disc = (x.abs() <= 1) & (y.abs() <= 1), x**2 + y**2 <= 1
    inside = torch.where((kinds == 0)[..., None, None], square, disc) & there[..., None, None]
    colour = 0.45 + 0.55 * rng.uniform((n, most, channels))
    picture = 0.12 + 0.06 * rng.normal((n, channels, size, size))
    for i in range(most):
        painted = colour[:, i, :, None, None] + 0.06 * rng.normal((n, channels, size, size))
        picture = torch.where(inside[:, i, None], painted, picture)
        inside[:, :i] &= ~inside[:, i, None]
    seen = inside.flatten(2).sum(2) >= 6  # what is all but covered is not there
    kinds = torch.where(seen, kinds, -1)
    masks = inside & seen[..., None, None]
    boxes = torch.zeros(n, most, 4)
    for axis, first in ((2, 0), (3, 1)):  # columns give x, rows give y
        along = masks.any(axis).float()
        low = along.argmax(-1)
        high = size - along.flip(-1).argmax(-1)
        boxes[..., first], boxes[..., first + 2] = low / size, high / size
    boxes = torch.where(seen[..., None], boxes, 0.0)
    conds = {"boxes": boxes.numpy(), "kinds": kinds.numpy(), "masks": masks.numpy().astype(np.uint8)}
    x_ = (255 * picture.clamp(0, 1)).round().byte().numpy()
    return Images(x_, name="shapes", source="drawn by ornstein.data.shapes", licence="Apache-2.0", conds=conds)
