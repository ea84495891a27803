"""Jumps along a flow whose mean velocity is known."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.two_time import FlowMapDenoiser
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State


@final
class FlowMap(DenoisingSampler):
    """x_s = x_t - (t - s) u(x_t, t, s): exact at any step length where u is. Frans et al. 2024; Geng et al. 2025.

    ``dyadic`` refuses jumps other than 1, 1/2, 1/4 .. between multiples of themselves: all that shortcut models learn.
    """

    needs = Affine
    order: ClassVar[int] = 1

    def __init__(self, denoiser: Denoiser, dyadic: bool = False):
        super().__init__(denoiser)
        if not isinstance(denoiser, FlowMapDenoiser):
            raise CapabilityError(
                f"flow_map needs a denoiser that knows mean velocities (meanflow, shortcut); {type(denoiser).__name__} does "
                "not. Take heun or euler, or leave guidance at 1: guidance of a flow map belongs into its training"
            )
        self.map, self.dyadic = denoiser, dyadic

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        if self.dyadic:
            self._check(t, s)
        (h,) = cast(x_t, t - s)
        return x_t - h * self.map.average(x_t, t, s, cond), None

    def _check(self, t: Tensor, s: Tensor) -> None:
        d = t - s
        level, place = -torch.log2(d), t / d
        if bool(((level - level.round()).abs() > 1e-6).any() or ((place - place.round()).abs() > 1e-6).any()):
            raise UsageError(
                f"a jump from {float(t.max()):.4g} to {float(s.max()):.4g} was not trained: the number of steps must be a "
                "power of two, on equal steps from 1 to 0"
            )
