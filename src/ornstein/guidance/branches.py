"""Guidance that combines the estimates with and without the condition."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from ornstein.core import cond as conditions
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Posterior, Ranged
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine


class Branched(Denoiser):
    """Asks for both estimates in one network call on a doubled batch, inside ``interval`` (in t); outside for c alone.

    Limiting the interval costs one evaluation in place of two and keeps diversity (Kynkaanniemi et al. 2024, 2404.07724).
    """

    def __init__(self, denoiser: Denoiser, scale: float, interval: tuple[float, float] = (0.0, 1.0)):
        super().__init__()
        low, high = interval
        if not 0 <= low < high <= 1:
            raise UsageError(f"a guidance interval needs 0 <= low < high <= 1 in t, got {interval}")
        self.denoiser, self.process = denoiser, denoiser.process
        self.scale, self.interval = scale, (low, high)

    @abstractmethod
    def combine(self, x_t: Tensor, t: Tensor, c: Tensor, u: Tensor) -> Tensor:
        """The guided E[x_0] of the conditional estimate ``c`` and the unconditional ``u``."""

    @property
    def plain(self) -> bool:
        """Whether this scale leaves the conditional estimate as it is."""
        return self.scale == 1

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        t = expand(t, x_t)
        inside = (t >= self.interval[0]) & (t <= self.interval[1])
        if self.plain or not bool(inside.any()):
            return self.denoiser(x_t, t, cond)
        if not cond:
            raise UsageError(
                f"guidance needs a condition to strengthen, and {type(self).__name__} was given none: give one (a label, "
                "a prompt), leave guidance out, or take one that needs none (Autoguidance, Perturbed)"
            )
        t2 = t if t.ndim == 0 else torch.cat([t, t])
        both = self.denoiser(torch.cat([x_t, x_t]), t2, conditions.cat([cond, conditions.null(cond)]))
        c, u = both.mean.chunk(2)
        mean = torch.where(inside, self.combine(x_t, t, c, u), c)
        if isinstance(both, Ranged):  # the learned variance is the conditional one
            return Ranged(mean, both.var.chunk(2)[0], both.fraction.chunk(2)[0])
        return Dirac(mean)


def require_affine(what: str, denoiser: Denoiser) -> Affine:
    """The denoiser's process, refused unless it is affine."""
    process = denoiser.process
    if not isinstance(process, Affine):
        raise CapabilityError(f"{what} needs an Affine process; {type(process).__name__} is not. Use CFG")
    return process


def moved(posterior: Posterior, mean: Tensor) -> Posterior:
    """Another mean with the learned variance of the law that it replaces, where there is one."""
    return Ranged(mean, posterior.var, posterior.fraction) if isinstance(posterior, Ranged) else Dirac(mean)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of each sample, ``[B, 1, ...]``."""
    return (a * b).flatten(1).sum(1).reshape(-1, *[1] * (a.ndim - 1))
