"""RED-diff: restoration as an optimisation whose regulariser is the denoiser at every level."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State


@final
class REDDiff(DenoisingSampler):
    r"""Adam on |y - A(mu)|^2 / 2 + weight sigma/alpha <eps_hat(x_t) - eps, mu>, x_t = alpha mu + sigma eps, t falling.

    The state is mu itself, from A^+ y; each step of the grid is one of Adam at its start t. It finds one likely image, not a
    draw: no spread is left. Any operator with a derivative; none of the network. Mardani et al. 2023, 2305.04391,
    algorithm 1 (rate 0.1, weight 0.25).
    """

    needs = GaussianProcess
    order: ClassVar[int] = 0
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, measurement: Measurement, rate: float = 0.1, weight: float = 0.25):
        super().__init__(denoiser)
        if not rate > 0 or not weight >= 0:
            raise UsageError(f"red_diff needs rate > 0 and weight >= 0, got {rate} and {weight}")
        if not measurement.operator.differentiable:
            raise CapabilityError(
                f"red_diff needs an operator with a derivative, and {measurement.operator.name} rounds. Methods that take it: "
                "pigdm"
            )
        self.measurement, self.rate, self.weight = measurement, rate, weight

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        if state is None:
            x_t = self.measurement.operator.estimate(self.measurement.y).to(x_t)
            state = (torch.zeros_like(x_t), torch.zeros_like(x_t), 0)
        m, v, k = state
        alpha, sigma = cast(x_t, p.alpha(t), p.sigma(t))
        eps = rng.normal_like(x_t)
        noisy = alpha * x_t + sigma * eps
        found = p.eps(noisy, t, self.denoiser(noisy, t, cond).mean)
        with torch.enable_grad():
            mu = x_t.detach().requires_grad_()
            misfit = 0.5 * (self.measurement.residual(mu) ** 2).sum()
            (gradient,) = torch.autograd.grad(misfit, mu)
        gradient = gradient + self.weight * sigma / alpha * (found - eps)
        m, v, k = 0.9 * m + 0.1 * gradient, 0.99 * v + 0.01 * gradient**2, k + 1
        step = (m / (1 - 0.9**k)) / ((v / (1 - 0.99**k)).sqrt() + 1e-8)
        return x_t - self.rate * step, (m, v, k)
