"""Adaptive projected guidance."""

from __future__ import annotations

import math
from typing import final

from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.branches import Branched, dot


@final
class APG(Branched):
    r"""c + (scale - 1)(d_perp + parallel d_par), d = c - u shortened to ``radius`` and split along c: less saturation than CFG.

    The part of d along c mostly raises contrast; ``parallel`` 1 and no radius give CFG. Sadat et al. 2024, 2410.02416,
    algorithm 1. Their momentum over the steps is left out: a denoiser has no memory, so that one may serve many requests at
    once.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        scale: float,
        parallel: float = 0.0,
        radius: float = math.inf,
        interval: tuple[float, float] = (0.0, 1.0),
    ):
        super().__init__(denoiser, scale, interval)
        if not radius > 0:
            raise UsageError(f"radius must be positive, got {radius}")
        self.parallel, self.radius = parallel, radius

    def combine(self, x_t: Tensor, t: Tensor, c: Tensor, u: Tensor) -> Tensor:
        d = c - u
        if math.isfinite(self.radius):
            d = d * (self.radius / dot(d, d).sqrt().clamp_min(1e-12)).clamp(max=1)
        along = c * (dot(d, c) / dot(c, c).clamp_min(1e-12))
        return c + (self.scale - 1) * (d - along + self.parallel * along)
