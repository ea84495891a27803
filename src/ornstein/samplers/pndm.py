r"""Pseudo-numerical methods: weights of classical multistep methods on eps, moved by DDIM's step.

phi(x_t, eps, t, s) = alpha_s (x_t/alpha_t + (rho_s - rho_t) eps), rho = sigma/alpha; eps is the mean of several values with the
weights of equal steps in t. Steps from alpha = 0 and to t = 0 are DDIM's.
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

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
from ornstein.samplers.levels import every, exponential_euler

ADAMS: tuple[tuple[float, ...], ...] = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
"""Adams-Bashforth on equal steps, the newest value first."""


class PseudoNumerical(DenoisingSampler):
    """What both share. State: the former values of eps, the newest first."""

    needs = Affine
    order: ClassVar[int] = 2
    history: ClassVar[int] = 3

    def _transfer(self, x_t: Tensor, t: Tensor, s: Tensor, x_0: Tensor, change: Tensor) -> Tensor:
        """phi(x_t, eps + change, t, s), where x_0 belongs to eps."""
        p = self.process

        def factor() -> Tensor:
            weight = p.alpha(s) * (p.sigma(s) / p.alpha(s) - p.sigma(t) / p.alpha(t))
            inner = (s > 0) & (p.alpha(t) > 0)
            return cast(x_t, torch.where(inner, weight, torch.zeros_like(weight)))[0]

        weight = recall(p, ("pndm", x_t.dtype), (t, s), factor)
        return exponential_euler(p, x_t, t, s, x_0) + weight * change

    def _linear(
        self, x_t: Tensor, t: Tensor, s: Tensor, x_0: Tensor, known: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """A multistep step from all values known, ``known[0]`` that of t."""
        weights = ADAMS[len(known) - 1]
        change = (weights[0] - 1) * known[0]
        for weight, eps in zip(weights[1:], known[1:], strict=True):
            change = change + weight * eps
        return self._transfer(x_t, t, s, x_0, change), known[:3]


@final
class IPNDM(PseudoNumerical):
    r"""eps = (55 eps_t - 59 eps_1 + 37 eps_2 - 9 eps_3)/24, shorter at the start: one evaluation in every step.

    The weights suit equal steps in t while the flow moves in rho: order 2. Zhang & Chen 2022, 2204.13902, appendix.
    """

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        x_0 = self.denoiser(x_t, t, cond).mean
        return self._linear(x_t, t, s, x_0, (self.process.eps(x_t, t, x_0), *(state or ())))


@final
class PNDM(PseudoNumerical):
    r"""Three pseudo-Runge-Kutta steps of four evaluations, then linear multistep with one. Liu et al. 2022, 2202.09778.

    ``start="heun"`` makes one step with two evaluations and then multistep methods of growing length, as latent diffusion's
    PLMS sampler does. The error of a step is h^3: order 2, as the paper proves. Inner times are the middle in t.
    """

    def __init__(self, denoiser: Denoiser, start: Literal["runge_kutta", "heun"] = "runge_kutta"):
        super().__init__(denoiser)
        if start not in ("runge_kutta", "heun"):
            raise UsageError(f"start must be 'runge_kutta' or 'heun', got '{start}'")
        self.start_with = start

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        x_0 = self.denoiser(x_t, t, cond).mean
        known: tuple[Tensor, ...] = (p.eps(x_t, t, x_0), *(state or ()))
        if len(known) > (3 if self.start_with == "runge_kutta" else 1):
            return self._linear(x_t, t, s, x_0, known)
        inner = every((s > 0) & (p.alpha(t) > 0), t)
        if not bool(inner.any()):
            return exponential_euler(p, x_t, t, s, x_0), known[:3]
        end = torch.where(inner, s, t)  # of rows that take DDIM's step the inner evaluations are discarded
        if self.start_with == "heun":
            change = (self._ask(x_t, t, end, x_0, torch.zeros_like(x_t), cond) - known[0]) / 2
        else:
            middle = (t + end) / 2
            k_2 = self._ask(x_t, t, middle, x_0, torch.zeros_like(x_t), cond)
            k_3 = self._ask(x_t, t, middle, x_0, k_2 - known[0], cond)
            k_4 = self._ask(x_t, t, end, x_0, k_3 - known[0], cond)
            change = (k_4 + 2 * k_3 + 2 * k_2 - 5 * known[0]) / 6
        return self._transfer(x_t, t, s, x_0, change), known[:3]

    def _ask(self, x_t: Tensor, t: Tensor, u: Tensor, x_0: Tensor, change: Tensor, cond: Cond) -> Tensor:
        """eps at phi(x_t, eps + change, t, u)."""
        x_u = self._transfer(x_t, t, u, x_0, change)
        eps: Tensor = self.process.eps(x_u, u, self.denoiser(x_u, u, cond).mean)
        return eps
