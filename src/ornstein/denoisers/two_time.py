r"""Denoisers of two times, which know the mean velocity of the flow between t and s: shortcut models, mean flows."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.conditions import VectorCondition
from ornstein.core.distributions import Posterior
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.shapes import expand, per_sample
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.parametrizations import Velocity
from ornstein.processes.base import Affine

SPAN = VectorCondition("span", 16)
"""What a network of two times declares among its conditions: the length t - s, as eight pairs of waves."""


class FlowMapDenoiser(Denoiser):
    r"""u(x_t, t, s) = (1/(t - s)) int_s^t v dtau along the flow, so that x_s = x_t - (t - s) u in one step of any length."""

    process: Affine

    @abstractmethod
    def average(self, x_t: Tensor, t: Tensor, s: Tensor, cond: Cond = NO_COND) -> Tensor:
        """The mean velocity between t and s <= t; at s = t the velocity itself."""

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        """The posterior that the velocity at t stands for: so every sampler of flows works as well."""
        t = expand(t, x_t)
        return Velocity().posterior(self.process, self.average(x_t, t, t, cond), x_t, t)


@final
class TwoTime(FlowMapDenoiser):
    """A network that is told t (as 1000 t) and the length t - s (as the condition ``span``), and gives u.

    The waves cos(k pi (t - s)), sin(k pi (t - s)), k = 1 .. 8, are slow enough that derivatives in time stay tame.
    """

    def __init__(
        self,
        network: nn.Module,
        process: Affine,
        *,
        autocast: torch.dtype | None = None,
        channels_last: bool = False,
    ):
        super().__init__()
        if not isinstance(process, Affine):
            raise CapabilityError(f"a velocity needs an Affine process; {type(process).__name__} is not")
        self.network, self.process = network, process
        self.autocast, self.channels_last = autocast, channels_last

    def average(self, x_t: Tensor, t: Tensor, s: Tensor, cond: Cond = NO_COND) -> Tensor:
        t, s = expand(t, x_t), expand(s, x_t)
        if bool((s > t).any()):
            raise UsageError("a mean velocity is taken between t and an earlier s: s must not exceed t")
        n = len(x_t)
        noise = per_sample(1000 * t, n).to(x_t.dtype)
        waves = math.pi * torch.arange(1, SPAN.width // 2 + 1, dtype=torch.float64, device=x_t.device)
        angle = per_sample(t - s, n)[:, None] * waves
        span = torch.cat([angle.cos(), angle.sin()], 1).to(x_t.dtype)
        if self.channels_last and x_t.ndim == 4:
            x_t = x_t.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x_t.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            out = self.network(x_t, noise, {**cond, SPAN.name: span})
        return out.to(x_t.dtype)
