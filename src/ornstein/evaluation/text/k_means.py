"""k-means: Lloyd's iterations from k-means++ centres (Arthur & Vassilvitskii 2007), the best of several starts."""

from __future__ import annotations

import torch
from torch import Tensor

STARTS = 5
ITERATIONS = 100


def _squares(x: Tensor, centres: Tensor) -> Tensor:
    return (x.square().sum(1)[:, None] - 2 * x @ centres.T + centres.square().sum(1)).clamp_min(0)


def _start(x: Tensor, k: int, g: torch.Generator) -> Tensor:
    """Each next centre is a point drawn in proportion to its squared distance to the nearest centre so far."""
    chosen = [int(torch.randint(len(x), (1,), generator=g))]
    nearest = _squares(x, x[chosen]).squeeze(1)
    while len(chosen) < k:
        weights = nearest if float(nearest.sum()) > 0 else torch.ones_like(nearest)
        chosen.append(int(torch.multinomial(weights, 1, generator=g)))
        nearest = torch.minimum(nearest, _squares(x, x[chosen[-1:]]).squeeze(1))
    return x[chosen]


def k_means(x: Tensor, k: int, seed: int = 0, starts: int = STARTS) -> Tensor:
    """The cluster of each of ``x [N, D]``, ``[N]`` int64. A centre that loses all its points stays where it was."""
    g = torch.Generator().manual_seed(seed)
    best, least = torch.zeros(len(x), dtype=torch.int64), float("inf")
    for _ in range(starts):
        centres, place = _start(x, k, g), torch.full((len(x),), -1)
        for _ in range(ITERATIONS):
            squares, found = _squares(x, centres).min(1)
            moved = bool((found != place).any())
            place = found
            if not moved:
                break
            sums = torch.zeros_like(centres).index_add_(0, place, x)
            size = place.bincount(minlength=k).to(x)[:, None]
            centres = torch.where(size > 0, sums / size.clamp_min(1), centres)
        cost = float(squares.sum())
        if cost < least:
            best, least = place, cost
    return best
