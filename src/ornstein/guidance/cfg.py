"""Classifier-free guidance."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core import cond as conditions
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Posterior
from ornstein.core.errors import UsageError
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser


@final
class CFG(Denoiser):
    r"""E[x_0] = u + scale (c - u), u and c the estimates without and with the condition; scale 1 is plain conditional.

    Linear in x_0, and so the same rule on eps, v or the score. Outside ``interval`` (in t) the conditional estimate stands
    alone, which costs one evaluation instead of two and keeps diversity (Kynkaanniemi et al. 2024). Both branches are one
    network call on a doubled batch. Ho & Salimans 2022, 2207.12598.
    """

    def __init__(self, denoiser: Denoiser, scale: float, interval: tuple[float, float] = (0.0, 1.0)):
        super().__init__()
        low, high = interval
        if not 0 <= low < high <= 1:
            raise UsageError(f"a guidance interval needs 0 <= low < high <= 1 in t, got {interval}")
        self.denoiser, self.process = denoiser, denoiser.process
        self.scale, self.interval = scale, (low, high)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        t = expand(t, x_t)
        inside = (t >= self.interval[0]) & (t <= self.interval[1])
        if self.scale == 1 or not bool(inside.any()):
            return self.denoiser(x_t, t, cond)
        if not cond:
            raise UsageError(
                "guidance needs a condition to strengthen; give one (a label, a prompt) or leave guidance out"
            )
        t2 = t if t.ndim == 0 else torch.cat([t, t])
        both = self.denoiser(torch.cat([x_t, x_t]), t2, conditions.cat([cond, conditions.null(cond)])).mean
        c, u = both.chunk(2)
        return Dirac(torch.where(inside, u + self.scale * (c - u), c))
