"""What a network is told where that depends on the number of steps, and networks that give the opposite sign."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.distributions import Posterior
from ornstein.denoisers.parametrizations import Parametrization
from ornstein.processes.base import Affine


@final
class ToldAt(Parametrization):
    """Another parametrisation whose network is told ``numbers[i]`` at ``times[i]``, and elsewhere what it was told."""

    def __init__(self, base: Parametrization, times: Tensor, numbers: Tensor):
        self.base, self.needs = base, base.needs
        self.times, self.numbers = times.double(), numbers.double()

    def inputs(self, process: Affine, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        x, told = self.base.inputs(process, x_t, t)
        times, numbers = self.times.to(t.device), self.numbers.to(t.device)
        distance, i = (t.unsqueeze(-1) - times).abs().min(-1)
        return x, torch.where(distance < 1e-9, numbers[i], told)

    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Posterior:
        return self.base.posterior(process, out, x_t, t)

    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return self.base.target(process, x_0, x_t, t)

    def gain(self, process: Affine, t: Tensor) -> Tensor:
        return self.base.gain(process, t)


@final
class Negated(Parametrization):
    """Another parametrisation whose network gives the negative of its output."""

    def __init__(self, base: Parametrization):
        self.base, self.needs = base, base.needs

    def inputs(self, process: Affine, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.base.inputs(process, x_t, t)

    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Posterior:
        return self.base.posterior(process, -out, x_t, t)

    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return -self.base.target(process, x_0, x_t, t)

    def gain(self, process: Affine, t: Tensor) -> Tensor:
        return self.base.gain(process, t)
