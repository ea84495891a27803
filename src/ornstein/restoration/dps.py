"""Diffusion posterior sampling: an ancestral step, then one down the misfit of the estimate."""

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
from ornstein.restoration.gradients import with_gradient
from ornstein.samplers.base import DenoisingSampler, State


@final
class DPS(DenoisingSampler):
    r"""x_s ~ q(x_s | x_t, E[x_0]) - zeta \nabla_{x_t} |y - A(E[x_0 | x_t])|, any differentiable operator, linear or not.

    The norm is each sample's own (published code takes the batch's). ``zeta`` knows neither the noise nor the grid, so the
    spread of the result is not that of the posterior: it is a search near the data, not a draw. Chung et al. 2023,
    2209.14687, algorithm 1.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, measurement: Measurement, zeta: float = 0.3):
        super().__init__(denoiser)
        if not zeta > 0:
            raise UsageError(f"dps needs a step zeta > 0, got {zeta}")
        if not measurement.operator.differentiable:
            raise CapabilityError(
                f"dps needs an operator with a derivative, and {measurement.operator.name} rounds. Methods that take it: pigdm"
            )
        self.measurement, self.zeta = measurement, zeta

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        def value(mean: Tensor) -> Tensor:
            square = (self.measurement.residual(mean) ** 2).flatten(1).sum(1)
            return (square + 1e-12).sqrt()  # finite at 0

        posterior, gradient = with_gradient(self.denoiser, x_t, t, cond, value, "dps")
        kernel = self.process.reverse(x_t, t, s, posterior)
        (var,) = cast(x_t, torch.where(s > 0, kernel.var, torch.zeros_like(kernel.var)))
        return kernel.mean + var.sqrt() * rng.between(x_t, t, s) - self.zeta * gradient, None
