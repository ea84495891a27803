r"""How a set of samples is divided among groups, and how well each group of the reference is covered.

Groups are classes as the extractor's classifier sees them, on both sides: what it confuses falls out of the comparison. The
histograms p of N samples and q of M reference images are compared by their total variation, 1/2 sum_c |p_c - q_c|, and by the
chi-square test that both are draws of one law. Total variation is not zero for equal laws: two draws differ by about
sum_c sqrt(q_c (1 - q_c) (1/N + 1/M) / (2 pi)), :func:`chance_variation`.

Within a group, precision, recall, density and coverage are those of :mod:`ornstein.evaluation.prdc`, of its samples against its
reference images alone. What a model leaves out of a rare group does not show in numbers over all groups.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.prdc import PRDC, prdc, squared_radii

MOST = 100
"""Groups that are told one by one: the most frequent ones of the reference."""

SEPARATOR = "/"
"""``"coverage/sneaker"`` is the value of a group."""

NONE = PRDC(precision=0.0, recall=0.0, density=0.0, coverage=0.0)
"""Of a group without samples: nothing of it is shown."""


@dataclass(frozen=True)
class Group:
    """A group's shares of the reference and of the samples; ``quality`` is None where the reference has k images or fewer."""

    name: str
    real_share: float
    share: float
    quality: PRDC | None


def histogram(members: Tensor, groups: int) -> Tensor:
    """How many of ``members [N]`` belong to each group, ``[K]``."""
    return torch.bincount(members, minlength=groups).double()


def total_variation(a: Tensor, b: Tensor) -> float:
    """1/2 sum_c |p_c - q_c| of two histograms of counts, in [0, 1]."""
    return float((a / a.sum() - b / b.sum()).abs().sum() / 2)


def chance_variation(a: Tensor, b: Tensor) -> float:
    """The mean total variation of two sets of these sizes, were both draws of their joint histogram (normal approximation)."""
    q = (a + b) / (a.sum() + b.sum())
    return float((q * (1 - q) * (1 / a.sum() + 1 / b.sum()) / (2 * math.pi)).sqrt().sum())


def homogeneity(a: Tensor, b: Tensor) -> float:
    """The p-value of Pearson's chi-square test that two histograms of counts are draws of one law.

    Groups in which neither has any are left out. The chi-square law holds where most expected counts are 5 or more.
    """
    both = torch.stack([a, b])[:, (a + b) > 0]
    freedom = both.shape[1] - 1
    if freedom == 0:
        return 1.0
    expected = both.sum(1, keepdim=True) * both.sum(0, keepdim=True) / both.sum()
    statistic = ((both - expected).square() / expected).sum()
    return float(torch.special.gammaincc(torch.tensor(freedom / 2, dtype=torch.float64), statistic / 2))


def effective_groups(a: Tensor) -> float:
    """exp of the histogram's entropy: K for equal shares of K groups, 1 for a single one."""
    p = a / a.sum()
    return float(torch.special.entr(p).sum().exp())


def reference_radii(features: Tensor, members: Tensor, groups: int, k: int) -> dict[int, Tensor]:
    """The radii that :func:`divide` needs of the reference, by group; groups of k images or fewer have none."""
    counts = histogram(members, groups)
    return {c: squared_radii(features[members == c], k) for c in range(groups) if counts[c] > k}


def divide(
    samples: tuple[Tensor, Tensor],
    reference: tuple[Tensor, Tensor],
    names: Sequence[str],
    k: int = 5,
    radii: dict[int, Tensor] | None = None,
) -> list[Group]:
    """The groups of ``names``; each side is its features ``[N, D]`` and the numbers of their groups ``[N]``.

    Of a group with k samples or fewer, recall is 0: its samples span nothing. Without any, all four are.

    Raises:
        DataError: a number of a group that has no name.
    """
    (x, mine), (y, theirs) = samples, reference
    for members in (mine, theirs):
        if len(members) and not 0 <= int(members.min()) <= int(members.max()) < len(names):
            raise DataError(f"groups are numbered 0 .. {len(names) - 1}, got {sorted(set(members.tolist()))[:8]}")
    radii = reference_radii(y, theirs, len(names), k) if radii is None else radii
    p, q = (histogram(members, len(names)) / len(members) for members in (mine, theirs))
    out = []
    for c, name in enumerate(names):
        quality = _quality(x[mine == c], y[theirs == c], k, radii[c]) if c in radii else None
        out.append(Group(name, float(q[c]), float(p[c]), quality))
    return out


def _quality(x: Tensor, y: Tensor, k: int, radii: Tensor) -> PRDC:
    if not len(x):
        return NONE
    if len(x) > k:
        return prdc(x, y, k, radii)
    spanless = torch.zeros(len(x))  # balls of no radius: they recall nothing
    return prdc(x, y, k, radii, own=spanless)


def values(groups: Sequence[Group]) -> dict[str, float]:
    """Each group's numbers by name, of the :data:`MOST` most frequent groups of the reference."""
    shown = sorted(groups, key=lambda g: -g.real_share)[:MOST]
    out: dict[str, float] = {}
    for g in (g for g in groups if g in shown):
        out |= {f"real_share{SEPARATOR}{g.name}": g.real_share, f"share{SEPARATOR}{g.name}": g.share}
        if g.quality is not None:
            q = g.quality
            parts = {"coverage": q.coverage, "recall": q.recall, "precision": q.precision, "density": q.density}
            out |= {f"{what}{SEPARATOR}{g.name}": value for what, value in parts.items()}
    return out
