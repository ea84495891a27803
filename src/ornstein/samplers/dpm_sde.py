r"""DPM-Solver++ for the reverse SDE: one to three evaluations' worth of x_0, integrated exactly against its weight.

dx in lambda = log(alpha/sigma), with noise of strength eta (the tau^2 of SA-Solver; 0 is the flow, 1 the reverse SDE):

    x_s = sigma_s/sigma_t e^{-eta h} x_t + alpha_s k int_0^h e^{-k u} x_0(lambda_s - u) du + sigma_s sqrt(1 - e^{-2 eta h}) z

with k = 1 + eta, h = lambda_s - lambda_t. x_0 constant over the step makes the first-order method, which at eta = 1 is
ancestral sampling. Lu et al. 2022, 2211.01095, appendix; the forms with 3 steps and with eta are k-diffusion's.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.levels import every, level_between


class DPMSolverSDE(DenoisingSampler):
    """What the three share: eta, and the linear part of the step."""

    needs = GaussianProcess
    order: ClassVar[int] = 2
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, eta: float = 1.0):
        super().__init__(denoiser)
        if eta < 0:
            raise UsageError(f"eta, the strength of the noise, must be >= 0, got {eta}")
        self.eta = eta

    def _decay(self, h: Tensor) -> Tensor:
        """eta h; 0 where eta is, also over an infinite step."""
        return self.eta * h if self.eta > 0 else torch.zeros_like(h)

    def _linear(self, t: Tensor, s: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Factors of x_t, of a constant x_0 and of z in a step."""
        p, decay = self.process, self._decay(h)
        keep = p.sigma(s) / p.sigma(t) * (-decay).exp()
        return keep, -p.alpha(s) * torch.expm1(-h - decay), p.sigma(s) * (-torch.expm1(-2 * decay)).sqrt()

    def _noise(self, x_t: Tensor, t: Tensor, s: Tensor, rng: Random) -> Tensor:
        return rng.between(x_t, t, s) if self.eta > 0 else torch.zeros_like(x_t)


class MultistepSDE(DPMSolverSDE):
    """One evaluation a step; the change of x_0 is read off former steps. State: those of (lambda, x_0)."""

    history: ClassVar[int] = 1

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        x_0 = self.denoiser(x_t, t, cond).mean
        level = p.log_snr(t) / 2
        h = p.log_snr(s) / 2 - level
        known = ((level, x_0), *(state or ()))
        keep, gain, noise = self._linear(t, s, h)
        a, b, c = cast(x_t, keep, gain, noise)
        x_s = a * x_t + b * x_0 + c * self._noise(x_t, t, s, rng)
        if len(known) > 1:
            # Steps to sigma = 0 and from alpha = 0 are infinite in lambda and stay first order.
            finite = torch.isfinite(h)
            weights = self._slopes(torch.where(finite, h, torch.ones_like(h)), [k[0] for k in known])
            for weight, newer, older in zip(weights, known, known[1:], strict=False):
                (w,) = cast(x_t, p.alpha(s) * torch.where(finite, weight, torch.zeros_like(weight)))
                x_s = x_s + w * (newer[1] - older[1])
        return x_s, known[: self.history]

    @abstractmethod
    def _slopes(self, h: Tensor, levels: list[Tensor]) -> list[Tensor]:
        """Factors (of alpha_s) for x_0 - x_0^prev and the differences before it; h is finite."""


@final
class DPMPP2MSDE(MultistepSDE):
    r"""DPM-Solver++ 2M SDE: adds alpha_s (1 - e^{-k h})/(2 r) (x_0 - x_0^prev), r = h^prev/h.

    ``solver="heun"`` replaces (1 - e^{-kh})/2 by 1 - (1 - e^{-kh})/(kh), the integral of the straight line through both.
    Weak order 2.
    """

    def __init__(self, denoiser: Denoiser, eta: float = 1.0, solver: str = "midpoint"):
        super().__init__(denoiser, eta)
        if solver not in ("midpoint", "heun"):
            raise UsageError(f"solver must be 'midpoint' or 'heun', got '{solver}'")
        self.solver = solver

    def _slopes(self, h: Tensor, levels: list[Tensor]) -> list[Tensor]:
        kh = (1 + self.eta) * h
        part = -torch.expm1(-kh) / 2 if self.solver == "midpoint" else 1 + torch.expm1(-kh) / kh
        return [part * h / (levels[0] - levels[1])]


@final
class DPMPP3MSDE(MultistepSDE):
    r"""DPM-Solver++ 3M SDE: the parabola through three values of x_0; the second step is 2M's with the straight line.

    With d_1 and d_2 its first two derivatives at t in units of h, adds alpha_s (phi_2 d_1 + phi_3 d_2), phi_2 = 1 -
    (1 - e^{-kh})/(kh), phi_3 = 1/2 - phi_2/(kh). ``curvature=0.5`` halves the last term, as released
    implementations do; it extrapolates less over long steps. ``curvature=1`` is the whole parabola, of order 3 for the flow
    (eta = 0). With noise x_0 changes within a step by what no former value tells, and the weak order is 2 for both.
    """

    history: ClassVar[int] = 2

    def __init__(self, denoiser: Denoiser, eta: float = 1.0, curvature: float = 0.5):
        super().__init__(denoiser, eta)
        if not 0 <= curvature <= 1:
            raise UsageError(f"curvature must lie in [0, 1]: 1 is the whole parabola; got {curvature}")
        self.curvature = curvature

    def _slopes(self, h: Tensor, levels: list[Tensor]) -> list[Tensor]:
        kh = (1 + self.eta) * h
        phi_2 = 1 + torch.expm1(-kh) / kh
        r0 = (levels[0] - levels[1]) / h
        if len(levels) == 2:
            return [phi_2 / r0]
        r1 = (levels[1] - levels[2]) / h
        phi_3 = 0.5 - phi_2 / kh
        # d_1 = D_0 + (D_0 - D_1) r0/(r0 + r1) and d_2 = 2 (D_0 - D_1)/(r0 + r1), D the divided differences.
        bend = (phi_2 * r0 + 2 * self.curvature * phi_3) / (r0 + r1)
        return [(phi_2 + bend) / r0, -bend / r1]


@final
class DPMPPSDE(DPMSolverSDE):
    r"""DPM-Solver++ SDE (single step, two evaluations): x_0 at t and, along the SDE, at the middle of the step in lambda.

    x_s uses (1 - 1/(2r)) x_0 + x_0^mid/(2r), r = 1/2. The noise met on the way to the middle is part of the step's, as on a
    Brownian path: drawn anew for the whole step, the order would be 1. In the steps from alpha = 0 and to t = 0 one
    evaluation serves.
    """

    evaluations: ClassVar[int] = 2

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        x_0 = self.denoiser(x_t, t, cond).mean
        h = (p.log_snr(s) - p.log_snr(t)) / 2
        inner = every(torch.isfinite(h), t)
        middle = torch.where(inner, level_between(p, t, s, 0.5), (t + s) / 2)
        h1, h2 = (p.log_snr(middle) - p.log_snr(t)) / 2, (p.log_snr(s) - p.log_snr(middle)) / 2
        keep, gain, noise = cast(x_t, *self._linear(t, middle, h1))
        (keep_x, gain_s, noise_s), (keep_2, _, noise_2) = self._linear(t, s, h), self._linear(middle, s, h2)
        keep_x, gain_s, noise_s, keep_2, noise_2 = cast(x_t, keep_x, gain_s, noise_s, keep_2, noise_2)
        early, late = self._noise(x_t, t, middle, rng), self._noise(x_t, middle, s, rng)
        whole = keep_2 * noise * early + noise_2 * late
        x_s = keep_x * x_t + gain_s * x_0 + whole
        if not bool(inner.any()):
            return x_s, None
        at = torch.where(inner, middle, t)
        x_middle = keep * x_t + gain * x_0 + noise * early
        x_0_middle = self.denoiser(torch.where(inner, x_middle, x_t), at, cond).mean
        weight = torch.where(inner, h / (2 * h1), torch.zeros_like(h))
        (weight,) = cast(x_t, weight)
        return x_s + gain_s * weight * (x_0_middle - x_0), None
