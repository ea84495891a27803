r"""MAUVE: the area under the frontier of the two errors that a model's texts can make. Pillutla et al. 2021, 2102.01454.

Vectors of both sets are put into k common clusters; with the histograms P of the samples and Q of the reference, and mixtures
R_w = w P + (1 - w) Q, the frontier is (exp(-c KL(Q | R_w)), exp(-c KL(P | R_w))), c = 5. 1 for equal histograms,
c B(c, c) / 2 = 0.004 for those that share no cluster. The number depends on the vectors, k and N: compare equal ones only.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.pairwise import require_vectors
from ornstein.evaluation.text.k_means import k_means

SCALE = 5.0
POINTS = 25
VARIANCE = 0.9
LEAST = 10


def _kl(p: Tensor, q: Tensor) -> Tensor:
    terms = torch.where(p > 0, p * (p / q.clamp_min(1e-300)).log(), torch.zeros_like(p))
    return terms.sum(-1).clamp_min(0)  # rounding may take it below


def frontier(p: Tensor, q: Tensor, scale: float = SCALE, points: int = POINTS) -> Tensor:
    """The curve from (0, 1) to (1, 0), ``[points + 2, 2]``, of histograms ``[k]``: first exp(-c KL(Q | R)), then P's."""
    w = torch.linspace(1e-6, 1 - 1e-6, points, dtype=torch.float64)[:, None]
    r = w * p + (1 - w) * q
    inner = torch.stack([(-scale * _kl(q.expand_as(r), r)).exp(), (-scale * _kl(p.expand_as(r), r)).exp()], 1)
    ends = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    return torch.cat([ends[:1], inner, ends[1:]]).flip(0)


def area(curve: Tensor) -> float:
    """Between the frontier and the axes, by trapezoids in the order of the curve, which may have vertical parts."""
    return float(torch.trapezoid(curve[:, 1], curve[:, 0]))


def mauve_of_histograms(p: Tensor, q: Tensor, scale: float = SCALE, points: int = POINTS) -> float:
    """Of two histograms ``[k]`` that sum to 1."""
    return area(frontier(p.double(), q.double(), scale, points))


def common_clusters(samples: Tensor, reference: Tensor, clusters: int = 0, seed: int = 0) -> tuple[Tensor, Tensor, int]:
    """The cluster of each vector ``[N, D]`` and ``[M, D]``, and their number.

    Vectors of unit length, reduced to the principal components that hold nine tenths of the variance, then k-means with a tenth
    of the smaller set's size as k, at least 2.

    Raises:
        DataError: fewer than ten vectors on a side, fewer vectors than clusters.
    """
    for name, x in (("samples", samples), ("reference", reference)):
        require_vectors(name, x, least=LEAST)
    x = torch.cat([samples, reference]).double()
    x = x / x.norm(dim=1, keepdim=True).clamp_min(1e-12)
    x = x - x.mean(0)
    k = clusters or max(2, round(min(len(samples), len(reference)) / 10))
    if k > len(x):
        raise DataError(f"{k} clusters need as many vectors, got {len(x)}; lower `clusters`")
    values, vectors = torch.linalg.eigh(x.T @ x)
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    if float(values.sum()) > 0:
        share = values.cumsum(0) / values.sum()
        x = x @ vectors[:, : int((share >= VARIANCE).nonzero()[0]) + 1]
    place = k_means(x, k, seed)
    return place[: len(samples)], place[len(samples) :], k


def histogram(place: Tensor, k: int) -> Tensor:
    """The share of each cluster, ``[k]``."""
    return place.bincount(minlength=k).double() / len(place)


def mauve(samples: Tensor, reference: Tensor, clusters: int = 0, seed: int = 0) -> float:
    """Of vectors ``[N, D]`` and ``[M, D]``; papers take the last hidden states of GPT-2."""
    mine, theirs, k = common_clusters(samples, reference, clusters, seed)
    return mauve_of_histograms(histogram(mine, k), histogram(theirs, k))
