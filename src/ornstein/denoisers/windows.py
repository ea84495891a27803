"""Pictures larger than the model: windows that overlap and agree at every step."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Gaussian, Posterior
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine


@final
class Windows(Denoiser):
    r"""E[x_0 | x_t] of a large state as the weighted mean of what a denoiser of small ones says of its windows.

    x_hat = sum_i w_i D(x_t in window i) / sum_i w_i, w a pyramid that is small at a window's edge. All windows move in one
    chain, so that they agree where they overlap. Bar-Tal et al. 2023, 2302.08113, eq. 5 (their average of x_s is, for a step
    that is affine in E[x_0], this average). Posterior variances are averaged alike.

    Args:
        size: (height, width) of the states that the denoiser knows.
        overlap: least share of a window that its neighbour sees as well.
        together: how many windows go through the denoiser at once; changes no result.

    Conditions of the large state's height and width are cut like it; others are told to every window.
    """

    def __init__(self, denoiser: Denoiser, size: tuple[int, int], overlap: float = 0.5, together: int = 64):
        super().__init__()
        if not 0 <= overlap < 1:
            raise UsageError(f"windows overlap by a share in [0, 1), got {overlap}")
        if together < 1 or min(size) < 1:
            raise UsageError(f"windows need a size and a number of at least 1, got {size} and {together}")
        p = denoiser.process
        half = torch.tensor(0.5, dtype=torch.float64)
        if isinstance(p, Affine) and p.alpha(half).numel() > 1:
            raise CapabilityError(
                f"{type(p).__name__} gives each coordinate of a state a noise level of its own, which a window has not"
            )
        self.denoiser, self.process = denoiser, p
        self.size, self.overlap, self.together = size, overlap, together

    def corners(self, height: int, width: int) -> list[tuple[int, int]]:
        """Top and left of each window, evenly spaced."""
        h, w = self.size
        if height < h or width < w:
            raise UsageError(
                f"a state of {height} x {width} is smaller than the model's {h} x {w}: windows do not fit in"
            )
        rows, columns = (_starts(n, k, self.overlap) for n, k in ((height, h), (width, w)))
        return [(top, left) for top in rows for left in columns]

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        t = expand(t, x_t)
        (h, w), (height, width) = self.size, x_t.shape[-2:]
        weight = (_ramp(h)[:, None] * _ramp(w)).to(x_t)
        mean, var, whole = torch.zeros_like(x_t), torch.zeros_like(x_t), torch.zeros_like(x_t[:1, :1])
        corners, spread = self.corners(height, width), False
        each = max(1, self.together // len(x_t))
        for start in range(0, len(corners), each):
            at = [(..., slice(top, top + h), slice(left, left + w)) for top, left in corners[start : start + each]]
            k = len(at)
            parts = torch.cat([x_t[a] for a in at])
            cuts = {
                name: torch.cat([v[a] if v.ndim == 4 and v.shape[-2:] == x_t.shape[-2:] else v for a in at])
                for name, v in cond.items()
            }
            posterior = self.denoiser(parts, t.repeat(k, *[1] * (t.ndim - 1)) if t.ndim else t, cuts)
            spread = isinstance(posterior, Gaussian)
            variances = posterior.var.expand_as(parts) if spread else parts
            for a, m, v in zip(at, posterior.mean.chunk(k), variances.chunk(k), strict=True):
                mean = mean + _placed(weight * m, a, x_t)
                whole[a] += weight
                if spread:
                    var = var + _placed(weight * v, a, x_t)
        return Gaussian(mean / whole, var / whole) if spread else Dirac(mean / whole)


def _placed(part: Tensor, at: tuple[object, slice, slice], like: Tensor) -> Tensor:
    """The part where it lies in the whole, zeros elsewhere; a gradient passes."""
    _, rows, columns = at
    left, right = columns.start, like.shape[-1] - columns.stop
    return torch.nn.functional.pad(part, (left, right, rows.start, like.shape[-2] - rows.stop))


def _starts(whole: int, size: int, overlap: float) -> list[int]:
    """Where windows of ``size`` begin, so that neighbours share at least ``overlap`` and the last ends at ``whole``."""
    if whole == size:
        return [0]
    n = 1 + math.ceil((whole - size) / max(1, math.floor(size * (1 - overlap))))
    return [round(i * (whole - size) / (n - 1)) for i in range(n)]


def _ramp(n: int) -> Tensor:
    """``[n]``: 1, 2, .. up to the middle and down again, for the larger weight of what lies far from an edge."""
    at = torch.arange(n, dtype=torch.float64)
    return torch.minimum(at + 1, n - at)
