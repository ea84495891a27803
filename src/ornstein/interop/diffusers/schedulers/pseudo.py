"""PNDMScheduler on networks that predict v: diffusers combines the outputs themselves, and reads eps off their mean."""

from __future__ import annotations

from typing import Literal, final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.parametrizations import V
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.pndm import ADAMS


@final
class PseudoV(DenoisingSampler):
    """PNDM as in :class:`ornstein.samplers.pndm.PNDM`, to 0, on values of v. State: the former values, the newest first."""

    needs = Affine

    def __init__(self, denoiser: Denoiser, start: Literal["runge_kutta", "heun"]):
        super().__init__(denoiser)
        self.start_with = start

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        known = (self._ask(x_t, t, cond), *(state or ()))
        if len(known) > (3 if self.start_with == "runge_kutta" else 1):
            v = sum((w * k for w, k in zip(ADAMS[len(known) - 1], known, strict=True)), 0 * x_t)
        elif self.start_with == "heun":
            v = (known[0] + self._ask(self._move(x_t, t, s, known[0]), s, cond)) / 2
        else:
            middle = (t + s) / 2
            k_2 = self._ask(self._move(x_t, t, middle, known[0]), middle, cond)
            k_3 = self._ask(self._move(x_t, t, middle, k_2), middle, cond)
            k_4 = self._ask(self._move(x_t, t, s, k_3), s, cond)
            v = (known[0] + 2 * k_2 + 2 * k_3 + k_4) / 6
        return self._move(x_t, t, s, v), known[:3]

    def _ask(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        return V().target(self.process, self.denoiser(x, t, cond).mean, x, t)

    def _move(self, x: Tensor, t: Tensor, s: Tensor, v: Tensor) -> Tensor:
        """DDIM's step with x_0 = alpha_t x - sigma_t v and eps = alpha_t v + sigma_t x."""
        p = self.process
        alpha, sigma = p.alpha(t), p.sigma(t)
        a, b = cast(x, p.alpha(s) * alpha + p.sigma(s) * sigma, p.sigma(s) * alpha - p.alpha(s) * sigma)
        return a * x + b * v
