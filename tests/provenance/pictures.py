"""Pictures with the texture of photographs, made here: sums of blurred noise, brighter and busier in places."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

ABOUT = {
    "software": "ornstein 0.1.0",
    "recipe": "edm",
    "config": {"size": 192},
    "weights": {"hash": "a" * 64, "path": "runs/mine"},
    "sampler": "heun",
    "steps": 12,
    "grid": "karras",
    "guidance": 2.0,
    "seed": 41,
    "label": "fox",
}
"""Settings such as samples have."""


def photograph(seed: int, side: int = 256, channels: int = 3) -> Tensor:
    """uint8 ``[channels, side, side]`` with a spectrum that falls as that of photographs does."""
    rng = np.random.default_rng(seed)
    total = np.zeros((channels, side, side))
    for sigma in (1, 2, 4, 8, 16, 32):
        grey = gaussian_filter(rng.normal(size=(side, side)), sigma) * sigma
        tint = gaussian_filter(rng.normal(size=(channels, side, side)), (0, 2 * sigma, 2 * sigma)) * sigma
        total += grey + 0.5 * tint
    shade = 1 + gaussian_filter(rng.normal(size=(side, side)), 24) * 24
    x = 120 + 55 * total * shade / total.std()
    return torch.from_numpy(x.round().clip(0, 255).astype(np.uint8))
