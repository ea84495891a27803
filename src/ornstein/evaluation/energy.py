r"""Energy distance: 2 E|X - Y| - E|X - X'| - E|Y - Y'|, zero only for equal laws. Szekely & Rizzo 2013."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.evaluation.pairwise import centre, require_vectors, squared_distances


def _mean_distance(a: Tensor, b: Tensor, same: bool) -> float:
    total = 0.0
    for i, d in squared_distances(a, b):
        if same:  # exactly 0, whatever rounding made of it
            rows = torch.arange(len(d))
            d[rows, rows + i] = 0
        total += float(d.sqrt_().sum(dtype=torch.float64))
    return total / (len(a) * (len(b) - same))


def energy_distance(samples: Tensor, reference: Tensor) -> float:
    """Unbiased, of ``[N, D]`` and ``[M, D]``; may be slightly negative when the laws agree."""
    require_vectors("samples", samples, least=2)
    require_vectors("reference", reference, least=2)
    a, b = centre(samples, reference)
    return 2 * _mean_distance(a, b, False) - _mean_distance(a, a, True) - _mean_distance(b, b, True)
