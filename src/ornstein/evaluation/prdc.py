"""Precision, recall, density and coverage by nearest neighbours. Kynkaanniemi et al. 2019; Naeem et al. 2020, 2002.09797."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.core.errors import DataError

BLOCK = 1024


@dataclass(frozen=True)
class PRDC:
    """precision: share of samples inside the reference's balls; recall: the converse; density: how many balls a sample is
    in, over k; coverage: share of the reference's balls that hold a sample."""

    precision: float
    recall: float
    density: float
    coverage: float


def radii(x: Tensor, k: int) -> Tensor:
    """Distance of each point to its k-th nearest other point, ``[N]``; in blocks, never N x N at once."""
    out = []
    for i in range(0, len(x), BLOCK):
        d = torch.cdist(x[i : i + BLOCK], x)
        rows = torch.arange(len(d))
        d[rows, rows + i] = torch.inf  # the point itself, exactly, whatever rounding made of its distance
        out.append(d.kthvalue(k, dim=1).values)
    return torch.cat(out)


def prdc(samples: Tensor, reference: Tensor, k: int = 5) -> PRDC:
    """All four, of feature vectors ``[N, D]`` against ``[M, D]``.

    Raises:
        DataError: k is not smaller than both sets.
    """
    a, b = samples.float(), reference.float()
    if min(len(a), len(b)) <= k:
        raise DataError(f"k = {k} neighbours need more than {k} samples on both sides, got {len(a)} and {len(b)}")
    radius_a, radius_b = radii(a, k), radii(b, k)
    inside_any = inside_count = recalled = 0
    nearest = torch.full((len(b),), torch.inf)
    covered = torch.zeros(len(b), dtype=torch.bool)
    for i in range(0, len(a), BLOCK):
        d = torch.cdist(a[i : i + BLOCK], b)
        inside = d < radius_b
        inside_any += int(inside.any(1).sum())
        inside_count += int(inside.sum())
        covered |= (d < radius_a[i : i + BLOCK, None]).any(0)
        nearest = torch.minimum(nearest, d.min(0).values)
    recalled = int(covered.sum())
    return PRDC(
        precision=inside_any / len(a),
        recall=recalled / len(b),
        density=inside_count / (k * len(a)),
        coverage=float((nearest < radius_b).float().mean()),
    )
