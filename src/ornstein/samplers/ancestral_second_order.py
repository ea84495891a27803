r"""Second-order ancestral samplers: the probability flow to below s, then noise up to s."""

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
from ornstein.samplers.levels import coordinates, every, exponential_euler, level_between, noised


class SecondOrderAncestral(DenoisingSampler):
    r"""From t down to the level sigma_d^2 = sigma_s^2 (1 - eta^2 (1 - sigma_s^2/sigma_t^2)) by the flow, up to s by noise.

    sigma is sigma/alpha here. eta = 0 is the flow alone, eta = 1 as much noise as ancestral sampling adds. Raising the noise
    is exact in law, so the order is that of the flow's solver, in the weak sense. Where alpha_t = 0, and in the step to
    t = 0, one evaluation serves, and the step is DDIM's. A process with a level for each coordinate goes down to
    s (s/t)^{eta^2}.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 2
    evaluations: ClassVar[int] = 2
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, eta: float = 1.0):
        super().__init__(denoiser)
        if not 0 <= eta <= 1:
            raise UsageError(f"eta must lie in [0, 1], got {eta}")
        self.eta = eta

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        x_0 = self.denoiser(x_t, t, cond).mean
        z = rng.between(x_t, t, s) if self.eta > 0 else torch.zeros_like(x_t)
        fresh = -torch.expm1(p.log_snr(t) - p.log_snr(s))  # 1 - sigma_s^2/sigma_t^2
        kept = 1 - self.eta**2 * fresh
        inner = every((fresh < 1) & (p.sigma(s) > 0), t)
        ratio = p.sigma(s) / p.sigma(t) * kept.sqrt()
        a, b, c = cast(x_t, ratio, p.alpha(s) - ratio * p.alpha(t), p.sigma(s) * self.eta * fresh.sqrt())
        first = a * x_t + b * x_0 + c * z
        if not bool(inner.any()):
            return first, None
        if coordinates(p):
            down = level_between(p, t, s, 1 + self.eta**2)
        else:
            down = p.time(p.log_snr(torch.where(inner, s, t)) - kept.log())
        down = torch.where(inner, down, t / 2)  # of rows whose result is discarded
        middle = level_between(p, t, down, 0.5)
        x_middle = self._predict(x_t, t, middle, x_0)
        x_down = self._move(x_t, t, x_0, x_middle, middle, self.denoiser(x_middle, middle, cond).mean, down)
        return torch.where(inner, noised(p, x_down, down, torch.maximum(s, down), z), first), None

    def _predict(self, x_t: Tensor, t: Tensor, middle: Tensor, x_0: Tensor) -> Tensor:
        """The state at the middle. A straight line towards x_0 in y = x/alpha is DDIM's step, whatever the coordinate."""
        return exponential_euler(self.process, x_t, t, middle, x_0)

    @abstractmethod
    def _move(
        self, x_t: Tensor, t: Tensor, x_0: Tensor, x_middle: Tensor, middle: Tensor, x_0_middle: Tensor, down: Tensor
    ) -> Tensor:
        """The state at the time ``down`` from both evaluations."""


@final
class DPMPP2SAncestral(SecondOrderAncestral):
    r"""DPM-Solver++ 2S down to sigma_d: x_d = sigma_d/sigma_t x_t - alpha_d (e^{-h} - 1) ((1 - 1/(2r)) x_0 + x_0^mid/(2r)).

    h and r h are the steps in lambda = log(alpha/sigma) to sigma_d and to the middle, where r = 1/2. "DPM++ 2S a" of
    k-diffusion; Lu et al. 2022, 2211.01095, algorithm 1.
    """

    def _move(
        self, x_t: Tensor, t: Tensor, x_0: Tensor, x_middle: Tensor, middle: Tensor, x_0_middle: Tensor, down: Tensor
    ) -> Tensor:
        p = self.process
        h, part = p.log_snr(down) - p.log_snr(t), p.log_snr(middle) - p.log_snr(t)
        (weight,) = cast(x_t, h / (2 * part))
        return exponential_euler(p, x_t, t, down, x_0 + weight * (x_0_middle - x_0))


@final
class DPM2Ancestral(SecondOrderAncestral):
    r"""The midpoint method down to sigma_d: y_d = y_t + (sigma_d - sigma_t) eps^mid, y = x/alpha, sigma in units of alpha.

    The middle is that of log sigma. "DPM2 a" of k-diffusion and KDPM2Ancestral of diffusers; Karras et al. 2022, algorithm 2
    in the variant of their appendix with the midpoint.
    """

    def _move(
        self, x_t: Tensor, t: Tensor, x_0: Tensor, x_middle: Tensor, middle: Tensor, x_0_middle: Tensor, down: Tensor
    ) -> Tensor:
        p = self.process
        sigma_d, sigma_t, alpha_d = p.sigma(down) / p.alpha(down), p.sigma(t) / p.alpha(t), p.alpha(down)
        a, b = cast(x_t, alpha_d / p.alpha(t), alpha_d * (sigma_d - sigma_t))
        eps: Tensor = p.eps(x_middle, middle, x_0_middle)
        return a * x_t + b * eps
