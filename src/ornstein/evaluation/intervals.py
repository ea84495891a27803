"""Intervals by half-sampling: how much a number moves when it is computed from random halves of the samples.

Halves are drawn without replacement. A bootstrap with replacement would put copies into a set, and copies change what is
measured: neighbours at no distance, a covariance of lower rank. With halves the spread of the values is that of the whole
set's (delete-half jackknife: Shao & Wu 1989), and the bias of a smaller set falls out, for only deviations count.
The reference is kept: the interval says what another draw of samples would change, not another reference.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

LEVEL = 1.96
"""Standard errors on either side: 95 % of a normal law."""

DRAWS = 20


def half_samples(count: int, draws: int, seed: int) -> list[Tensor]:
    """``draws`` random halves of ``0 .. count - 1``, each in ascending order."""
    g = torch.Generator().manual_seed(seed)
    return [torch.randperm(count, generator=g)[: count // 2].sort().values for _ in range(draws)]


def standard_errors(
    compute: Callable[[Tensor], dict[str, float]], count: int, draws: int, seed: int
) -> dict[str, float]:
    """Of each value that ``compute`` gives for the indices of a half."""
    found = [compute(index) for index in half_samples(count, draws, seed)]
    h = count // 2
    factor = (h / (count - h)) ** 0.5  # 1 for an even count
    return {
        name: factor * float(torch.tensor([f[name] for f in found], dtype=torch.float64).std()) for name in found[0]
    }
