r"""Adams-Bashforth methods on the prediction of eps: LMS and DEIS.

In y = x/alpha and rho = sigma/alpha the flow is dy = eps d rho. With eps as the polynomial L in a coordinate c through the last
values, y_s = y_t + sum_j w_j eps_j, w_j = int L_j(c) (d rho/dc) dc from c_t to c_s; integrated by Gauss-Legendre, exactly where
c is rho. Steps from alpha = 0 and to t = 0 are DDIM's, and no polynomial passes through the former.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine
from ornstein.processes.remember import recall
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.levels import exponential_euler

Coordinate = Literal["t", "rho", "log_rho"]
_NODES, _WEIGHTS = (torch.from_numpy(a) / 2 for a in np.polynomial.legendre.leggauss(16))
_NODES = _NODES + 0.5


class AdamsBashforth(DenoisingSampler):
    """What both share. State: (c, eps) of the former steps, the newest first."""

    needs = Affine
    highest: ClassVar[int] = 4
    to_zero: bool = False
    """whether the polynomial is followed down to t = 0 as well; steps there are DDIM's otherwise"""

    def __init__(self, denoiser: Denoiser, points: int, coordinate: Coordinate):
        super().__init__(denoiser)
        if not 1 <= points <= self.highest:
            raise UsageError(
                f"{type(self).__name__} reads 1 to {self.highest} values of eps (its order); got points = {points}"
            )
        self.points, self.coordinate = points, coordinate

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        x_0 = self.denoiser(x_t, t, cond).mean
        x_s = exponential_euler(p, x_t, t, s, x_0)
        if self.points == 1:
            return x_s, None
        start, end = (a.reshape([1] * x_t.ndim) if a.ndim == 0 else a for a in (t, s))
        here, eps = self._at(start), p.eps(x_t, t, x_0)
        former: tuple[tuple[Tensor, Tensor], ...] = state or ()
        places = [c for c, _ in former]
        weights = recall(
            p,
            (self.coordinate, self.to_zero),
            [start, end, *places],
            lambda: self._weights(start, end, here, places),
        )
        for w, (_, old) in zip(weights, former, strict=True):
            (w,) = cast(x_t, p.alpha(s) * w)
            x_s = x_s + w * (old - eps)
        return x_s, ((here, eps), *former)[: self.points - 1]

    def _at(self, t: Tensor) -> Tensor:
        """The coordinate of a time."""
        if self.coordinate == "t":
            return t
        p = self.process
        if self.coordinate == "rho":
            rho: Tensor = p.sigma(t) / p.alpha(t)
            return rho
        level: Tensor = -p.log_snr(t) / 2
        return level

    def _rate(self, c: Tensor) -> Tensor:
        """d rho / dc."""
        if self.coordinate == "rho":
            return torch.ones_like(c)
        if self.coordinate == "log_rho":
            return c.exp()
        p = self.process
        alpha = p.alpha(c)
        rate: Tensor = (p.d_sigma(c) - p.sigma(c) * p.d_alpha(c) / alpha) / alpha
        return rate

    def _weights(self, t: Tensor, s: Tensor, here: Tensor, former: Sequence[Tensor]) -> list[Tensor]:
        """w_j of the former values (that of the newest follows, for the w_j sum to rho_s - rho_t)."""
        if not former:
            return []
        there = self._at(s)
        span = there - here
        inner = ((s > 0) | self.to_zero) & (self.process.alpha(t) > 0)
        shape = (-1, *[1] * span.ndim)
        c = here + span * _NODES.to(span).reshape(shape)
        rate = self._rate(c) * (span * _WEIGHTS.to(span).reshape(shape))
        chosen = [torch.zeros_like(span) for _ in former]
        for count in range(1, len(former) + 1):
            nodes = former[:count]
            inner = inner & torch.isfinite(nodes[-1])
            for j, node in enumerate(nodes):
                basis = (c - here) / (node - here)
                for k, other in enumerate(nodes):
                    if k != j:
                        basis = basis * (c - other) / (node - other)
                chosen[j] = torch.where(inner, (basis * rate).sum(0), chosen[j])
        return chosen


@final
class LMS(AdamsBashforth):
    r"""Linear multistep in rho = sigma/alpha with weights for any steps, order 4 after three steps of orders 1, 2, 3.

    k-diffusion's LMS, which goes on ``to_zero`` with the polynomial where others here end with E[x_0]; Zhang & Chen's
    rho-AB is the same method, ComfyUI's ``ipndm_v`` too.
    """

    order: ClassVar[int] = 4
    history: ClassVar[int] = 3

    def __init__(self, denoiser: Denoiser, points: int = 4, to_zero: bool = False):
        super().__init__(denoiser, points, "rho")
        self.to_zero = to_zero


@final
class DEIS(AdamsBashforth):
    r"""Exponential integrator: eps as a polynomial through ``points`` values in t (tAB), rho (rhoAB) or log rho (diffusers').

    The order is ``points``; the paper's tAB-DEIS r is points = r + 1, and one point is DDIM. Zhang & Chen 2022, 2204.13902.
    """

    order: ClassVar[int] = 3
    history: ClassVar[int] = 2

    def __init__(self, denoiser: Denoiser, variant: Literal["tab", "rhoab", "log_rho"] = "tab", points: int = 3):
        kinds: dict[str, Coordinate] = {"tab": "t", "rhoab": "rho", "log_rho": "log_rho"}
        if variant not in kinds:
            raise UsageError(f"variant must be one of {', '.join(map(repr, kinds))}, got '{variant}'")
        super().__init__(denoiser, points, kinds[variant])
