"""Explicit Runge-Kutta methods for the probability flow, in time t."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.flow import velocity


class RungeKutta(DenoisingSampler):
    """What they share: the step to t = 0, where the velocity is not defined, returns E[x_0] and costs one evaluation."""

    needs = Affine

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        x_0 = self.denoiser(x_t, t, cond).mean
        inner = s > 0
        if not bool(inner.any()):
            return x_0, None
        end = torch.where(inner, s, t)  # rows that end here are evaluated where they are, and discarded
        x_s = self._inner(x_t, t, end, velocity(self.process, x_t, t, x_0), cond)
        return torch.where(inner, x_s, x_0), None

    def _velocity(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        return velocity(self.process, x, t, self.denoiser(x, t, cond).mean)

    @abstractmethod
    def _inner(self, x_t: Tensor, t: Tensor, s: Tensor, v_t: Tensor, cond: Cond) -> Tensor:
        """x_s for s > 0, from the velocity at t."""


@final
class Midpoint(RungeKutta):
    r"""x_s = x_t + (s - t) v_m, v_m at m = (t + s)/2 and x_t + (m - t) v_t; order 2 in t."""

    order: ClassVar[int] = 2
    evaluations: ClassVar[int] = 2

    def _inner(self, x_t: Tensor, t: Tensor, s: Tensor, v_t: Tensor, cond: Cond) -> Tensor:
        (h,) = cast(x_t, s - t)
        return x_t + h * self._velocity(x_t + h / 2 * v_t, (t + s) / 2, cond)


@final
class RK4(RungeKutta):
    r"""x_s = x_t + (s - t)(k_1 + 2 k_2 + 2 k_3 + k_4)/6, the classical method of order 4 in t. Kutta 1901."""

    order: ClassVar[int] = 4
    evaluations: ClassVar[int] = 4

    def _inner(self, x_t: Tensor, t: Tensor, s: Tensor, v_t: Tensor, cond: Cond) -> Tensor:
        (h,) = cast(x_t, s - t)
        middle = (t + s) / 2
        k_2 = self._velocity(x_t + h / 2 * v_t, middle, cond)
        k_3 = self._velocity(x_t + h / 2 * k_2, middle, cond)
        k_4 = self._velocity(x_t + h * k_3, s, cond)
        return x_t + h / 6 * (v_t + 2 * k_2 + 2 * k_3 + k_4)
