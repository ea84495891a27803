r"""Sliced Wasserstein distance: (E_u W_p(u.X, u.Y)^p)^{1/p} over directions u of the unit sphere. Bonneel et al. 2015."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.evaluation.pairwise import require_vectors

BLOCK = 64
"""Directions at a time."""


def directions(dims: int, count: int, seed: int = 0) -> Tensor:
    """``[dims, count]`` unit vectors, uniform on the sphere."""
    u = torch.randn(dims, count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return u / u.norm(dim=0)


def wasserstein_1d(a: Tensor, b: Tensor, p: int = 2) -> Tensor:
    r"""W_p^p = int_0^1 |F_a^{-1}(q) - F_b^{-1}(q)|^p dq of columns: ``[N, K]``, ``[M, K]`` -> ``[K]``. Exact.

    Both quantile functions are steps with jumps at i/N and j/M: i M and j N, in units of 1/(N M), so no rounding.
    """
    a, b = a.sort(dim=0).values, b.sort(dim=0).values
    n, m = len(a), len(b)
    if n == m:
        return (a - b).abs().pow(p).mean(0)
    ends = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).unique()
    widths = torch.diff(ends, prepend=torch.zeros(1, dtype=ends.dtype)).to(a.dtype) / (n * m)
    return (widths[:, None] * (a[(ends - 1) // m] - b[(ends - 1) // n]).abs().pow(p)).sum(0)


def sliced_wasserstein(
    samples: Tensor, reference: Tensor, projections: int | Tensor = 256, p: int = 2, seed: int = 0
) -> float:
    """Of ``[N, D]`` and ``[M, D]``; ``projections`` is a number of random directions, or the directions ``[D, K]``."""
    if p < 1 or (isinstance(projections, int) and projections < 1):
        raise UsageError(f"p and projections must be at least 1, got {p} and {projections}")
    require_vectors("samples", samples)
    require_vectors("reference", reference)
    u = directions(samples.shape[1], projections, seed) if isinstance(projections, int) else projections
    u = u.to(samples.dtype)
    parts = [wasserstein_1d((samples @ v).double(), (reference @ v).double(), p) for v in u.split(BLOCK, dim=1)]
    return float(torch.cat(parts).mean() ** (1 / p))
