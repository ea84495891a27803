"""CFG-Zero*: a fitted unconditional branch, and no motion in the first steps."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.branches import Branched, dot, require_affine
from ornstein.processes.base import Affine


@final
class CFGZero(Branched):
    r"""v = s v_u + scale (v_c - s v_u), s = <v_c, v_u>/|v_u|^2, and v = 0 for t > ``still_above``, v = dx_t/dt of the flow.

    s makes up for what the unconditional velocity gets wrong; early in sampling an undertrained velocity is worse than
    none. Fan et al. 2025, 2503.18886, algorithm 1 (zero-init of the first 4 % of the steps).
    """

    process: Affine

    def __init__(
        self, denoiser: Denoiser, scale: float, still_above: float = 0.96, interval: tuple[float, float] = (0.0, 1.0)
    ):
        super().__init__(denoiser, scale, interval)
        if not 0 < still_above <= 1:
            raise UsageError(f"still_above is a time in (0, 1], got {still_above}")
        self.still_above = still_above
        require_affine("CFG-Zero*", denoiser)

    @property
    def plain(self) -> bool:
        return self.scale == 1 and self.still_above == 1

    def combine(self, x_t: Tensor, t: Tensor, c: Tensor, u: Tensor) -> Tensor:
        p = self.process
        alpha, sigma, d_alpha, d_sigma = p.alpha(t), p.sigma(t), p.d_alpha(t), p.d_sigma(t)
        rate = d_sigma / sigma
        a, b = cast(x_t, rate, d_alpha - rate * alpha)
        v_c, v_u = a * x_t + b * c, a * x_t + b * u
        v_u = v_u * (dot(v_c, v_u) / dot(v_u, v_u).clamp_min(1e-12))
        v = torch.where(t > self.still_above, 0.0, v_u + self.scale * (v_c - v_u)).to(x_t)
        return (v - a * x_t) / b
