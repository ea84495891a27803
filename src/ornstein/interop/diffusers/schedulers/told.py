"""What networks are told for a time, by a rule or step by step, and networks that give the opposite sign."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from ornstein.core.distributions import Posterior
from ornstein.denoisers.parametrizations import Derived, Parametrization
from ornstein.processes.base import Affine


@final
class Told(Derived):
    """Another parametrisation whose network is told ``scale t - offset``, as it is, rounded, or cut to a whole number."""

    def __init__(
        self,
        base: Parametrization,
        scale: int,
        offset: int,
        form: Literal["exact", "round", "floor", "log"] = "exact",
        top: float | None = None,
    ):
        super().__init__(base)
        self.scale, self.offset, self.form, self.top = scale, offset, form, top

    def inputs(self, process: Affine, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        if self.form == "log":
            return x_t, -process.log_snr(t) / 8  # ln(sigma/alpha)/4
        u = t * self.scale - self.offset
        if self.form == "round":
            u = u.round()
        elif self.form == "floor":
            u = (u + 1e-6).floor()
            if self.top is not None:
                u = u.clamp(max=self.top)
        return x_t, u


@final
class ToldAt(Derived):
    """Another parametrisation whose network is told ``numbers[i]`` at ``times[i]``, and elsewhere what it was told."""

    def __init__(self, base: Parametrization, times: Tensor, numbers: Tensor):
        super().__init__(base)
        self.times, self.numbers = times.double(), numbers.double()

    def inputs(self, process: Affine, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        x, told = self.base.inputs(process, x_t, t)
        times, numbers = self.times.to(t.device), self.numbers.to(t.device)
        distance, i = (t.unsqueeze(-1) - times).abs().min(-1)
        return x, torch.where(distance < 1e-9, numbers[i], told)


@final
class Negated(Derived):
    """Another parametrisation whose network gives the negative of its output."""

    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Posterior:
        return self.base.posterior(process, -out, x_t, t)

    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return -self.base.target(process, x_0, x_t, t)
