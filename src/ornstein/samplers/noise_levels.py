r"""How many noise levels and which: NCSNv2's techniques 1 and 2. (Technique 4, the step of the moves, is ``langevin_step``.)"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ornstein.core.errors import DataError, UsageError


def largest_distance(x: Tensor, rows: int = 512) -> float:
    """The largest Euclidean distance between two rows of data, ``[N, ...]``: the first level. 2006.09011, technique 1."""
    if len(x) < 2:
        raise DataError(f"a largest distance needs at least 2 data points, got {len(x)}")
    flat = x.flatten(1).double()
    if not bool(torch.isfinite(flat).all()):
        raise DataError("the data hold NaN or infinity; mend them before levels are chosen")
    return max(float(torch.cdist(part, flat).max()) for part in flat.split(rows))  # type: ignore[no-untyped-call]


def level_ratio(dims: int) -> float:
    r"""gamma = sigma_{i-1}/sigma_i at which neighbouring shells of noise overlap by half; ``dims`` is the data's dimension.

    The root of Phi(sqrt(2D)(gamma - 1) + 3 gamma) - Phi(sqrt(2D)(gamma - 1) - 3 gamma) = 0.5. 2006.09011, technique 2.
    """
    if dims < 1:
        raise UsageError(f"data have at least 1 dimension, got {dims}")

    def overlap(gamma: float) -> float:
        a = math.sqrt(2 * dims) * (gamma - 1)
        return 0.5 * (math.erf((a + 3 * gamma) / math.sqrt(2)) - math.erf((a - 3 * gamma) / math.sqrt(2)))

    if math.sqrt(2 * dims) <= 3:
        raise UsageError(f"in {dims} dimensions shells of noise overlap at any ratio; choose the levels by hand")
    low, high = 1.0, 2.0
    while overlap(high) > 0.5:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if overlap(middle) > 0.5 else (low, middle)
    return (low + high) / 2


def level_count(sigma_max: float, sigma_min: float, ratio: float) -> int:
    """How many levels it takes from the first to the last, at most ``ratio`` apart."""
    if not 0 < sigma_min < sigma_max:
        raise UsageError(f"levels need 0 < sigma_min < sigma_max, got {sigma_min} and {sigma_max}")
    if not ratio > 1:
        raise UsageError(f"levels fall by a ratio above 1, got {ratio}")
    return math.ceil(math.log(sigma_max / sigma_min) / math.log(ratio)) + 1
