"""Precision, recall, density and coverage by nearest neighbours. Kynkaanniemi et al. 2019; Naeem et al. 2020, 2002.09797."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.pairwise import centre, squared_distances, without_self


@dataclass(frozen=True)
class PRDC:
    """precision: share of samples inside the reference's balls; recall: the converse; density: how many balls a sample is
    in, over k; coverage: share of the reference's balls that hold a sample."""

    precision: float
    recall: float
    density: float
    coverage: float


def squared_radii(x: Tensor, k: int = 5) -> Tensor:
    """Squared distance of each point to its k-th nearest other point, ``[N]``; in blocks, never N x N at once."""
    if len(x) <= k:
        raise DataError(f"k = {k} neighbours need more than {k} samples on both sides, got {len(x)}")
    x, _ = centre(x.float(), x.float())
    return torch.cat([without_self(i, d).kthvalue(k, dim=1).values for i, d in squared_distances(x, x)])


def prdc(
    samples: Tensor, reference: Tensor, k: int = 5, radii: Tensor | None = None, own: Tensor | None = None
) -> PRDC:
    """All four, of feature vectors ``[N, D]`` against ``[M, D]``; ``radii``: the reference's, ``own``: the samples', if they
    are known.

    Raises:
        DataError: k is not smaller than both sets.
    """
    radius_a = squared_radii(samples, k) if own is None else own
    radius_b = squared_radii(reference, k) if radii is None else radii
    a, b = centre(samples.float(), reference.float())
    inside_any = inside_count = 0
    nearest = torch.full((len(b),), torch.inf)
    recalled = torch.zeros(len(b), dtype=torch.bool)
    for i, d in squared_distances(a, b):
        inside = d < radius_b
        inside_any += int(inside.any(1).sum())
        inside_count += int(inside.sum())
        recalled |= (d < radius_a[i : i + len(d), None]).any(0)
        nearest = torch.minimum(nearest, d.min(0).values)
    return PRDC(
        precision=inside_any / len(a),
        recall=float(recalled.float().mean()),
        density=inside_count / (k * len(a)),
        coverage=float((nearest < radius_b).float().mean()),
    )
