"""Classifier-free guidance."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core import cond as conditions
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Posterior, Ranged
from ornstein.core.errors import UsageError
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser


@final
class CFG(Denoiser):
    r"""E[x_0] = u + scale (c - u), u and c the estimates without and with the condition; scale 1 is plain conditional.

    Linear in x_0, and so the same rule on eps, v or the score. Outside ``interval`` (in t) the conditional estimate stands
    alone, which costs one evaluation instead of two and keeps diversity (Kynkaanniemi et al. 2024). Both branches are one
    network call on a doubled batch. Ho & Salimans 2022, 2207.12598.

    Guidance enlarges the estimate and with it the contrast. ``rescale`` = phi > 0 brings back that share of it, per sample:
    phi x std(c)/std(x) + (1 - phi) x. Lin et al. 2023, 2305.08891, section 3.4, do so to the network's v, which is -x_0 where
    the signal has vanished; here it is x_0 everywhere.
    """

    def __init__(
        self, denoiser: Denoiser, scale: float, interval: tuple[float, float] = (0.0, 1.0), rescale: float = 0.0
    ):
        super().__init__()
        low, high = interval
        if not 0 <= low < high <= 1:
            raise UsageError(f"a guidance interval needs 0 <= low < high <= 1 in t, got {interval}")
        if not 0 <= rescale <= 1:
            raise UsageError(f"the share of rescaling must lie in [0, 1], got {rescale}")
        self.denoiser, self.process = denoiser, denoiser.process
        self.scale, self.interval, self.rescale = scale, (low, high), rescale

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
        both = self.denoiser(torch.cat([x_t, x_t]), t2, conditions.cat([cond, conditions.null(cond)]))
        c, u = both.mean.chunk(2)
        strong = u + self.scale * (c - u)
        if self.rescale:
            rest = list(range(1, c.ndim))
            ratio = c.std(rest, keepdim=True) / strong.std(rest, keepdim=True).clamp_min(torch.finfo(c.dtype).tiny)
            strong = strong * (self.rescale * ratio + 1 - self.rescale)
        mean = torch.where(inside, strong, c)
        if isinstance(both, Ranged):  # the learned variance is the conditional one
            return Ranged(mean, both.var.chunk(2)[0], both.fraction.chunk(2)[0])
        return Dirac(mean)
