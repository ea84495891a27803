"""DDIM inversion: the deterministic step run from data to noise."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State


@final
class DDIMInversion(DenoisingSampler):
    r"""x_s/alpha_s = x_t/alpha_t + (sigma_s/alpha_s - sigma_t/alpha_t) eps, s > t: a code that DDIM decodes again.

    Order 1 in the step of sigma/alpha, as DDIM. A network knows no level below t_min: there it is asked at t_min, and eps at
    t = 0 is what that answer implies. ``refine`` > 0 solves for the step that DDIM undoes, by so many fixed-point rounds of
    one evaluation at s each. Song et al. 2020, section 4.3; Pan et al. 2023, 2309.04907.
    """

    needs = Affine
    order: ClassVar[int] = 1
    ascends = True

    def __init__(self, denoiser: Denoiser, refine: int = 0):
        super().__init__(denoiser)
        if refine < 0:
            raise UsageError(f"refine is a number of rounds, 0 or more; got {refine}")
        self.refine = refine

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        x_s = self._move(x_t, t, s, self._eps(x_t, t, cond))
        for _ in range(self.refine):
            x_s = self._move(x_t, t, s, self._eps(x_s, s, cond))
        return x_s, None

    def _eps(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        at = t.clamp_min(self.process.t_min)
        eps: Tensor = self.process.eps(x, at, self.denoiser(x, at, cond).mean)
        return eps

    def _move(self, x_t: Tensor, t: Tensor, s: Tensor, eps: Tensor) -> Tensor:
        p = self.process
        ratio = p.alpha(s) / p.alpha(t)
        a, b = cast(x_t, ratio, p.sigma(s) - ratio * p.sigma(t))
        return a * x_t + b * eps

    def start(self) -> float:
        """Data are at t = 0."""
        return 0.0
