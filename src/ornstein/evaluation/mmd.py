r"""Unbiased squared MMD under k(a, b) = exp(-|a - b|^2 / 2 s^2). Gretton et al. 2012, eq. 3."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.evaluation.pairwise import centre, require_vectors, squared_distances, without_self

MEDIAN_OF = 1000


def median_bandwidth(x: Tensor) -> float:
    """The median distance between points of a set (of at most 1000 of them, evenly spread): the usual choice of s."""
    step = -(-len(x) // MEDIAN_OF)
    found = float(torch.pdist(x[::step].double()).median())
    if found == 0:
        raise UsageError(
            "more than half of the reference's vectors are equal, so the median distance is 0: give a bandwidth"
        )
    return found


def _kernel_mean(a: Tensor, b: Tensor, bandwidth: float, same: bool) -> float:
    total = 0.0
    for i, d in squared_distances(a, b):
        d = without_self(i, d) if same else d
        total += float(d.mul_(-0.5 / bandwidth**2).exp_().sum(dtype=torch.float64))
    return total / (len(a) * (len(b) - same))


def mmd(samples: Tensor, reference: Tensor, bandwidth: float | None = None) -> float:
    """Of ``[N, D]`` and ``[M, D]``, all pairs; ``bandwidth`` s defaults to :func:`median_bandwidth` of the reference."""
    if bandwidth is not None and not bandwidth > 0:
        raise UsageError(f"bandwidth must be positive, got {bandwidth}")
    require_vectors("samples", samples, least=2)
    require_vectors("reference", reference, least=2)
    s = median_bandwidth(reference) if bandwidth is None else bandwidth
    a, b = centre(samples, reference)
    return _kernel_mean(a, a, s, True) + _kernel_mean(b, b, s, True) - 2 * _kernel_mean(a, b, s, False)
