"""Shortcut models: flow matching for the smallest steps, and every longer jump is two jumps of half its length."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.cond import Cond
from ornstein.core.errors import UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, expand, mean_rest
from ornstein.denoisers.two_time import FlowMapDenoiser
from ornstein.objectives.followers import Follower


def is_power_of_two(n: int) -> bool:
    """1, 2, 4, 8 .."""
    return n >= 1 and n & (n - 1) == 0


@final
class Shortcut:
    r"""On one part of the batch |u(x_t, t, t) - (x_1 - x_0)|^2, on the other |u(x_t, t, t - 2d) - (u_1 + u_2)/2|^2.

    u_1 = u(x_t, t, t - d), x' = x_t - d u_1, u_2 = u(x', t - d, t - 2d), both of a slow copy of the network and without
    gradient. d is drawn from 1/M, 2/M .. 1/2 and t from the multiples of 2d, so that jumps start where sampling in
    1/(2d) steps starts them; at d = 1/M the two halves are steps of the flow itself, u(., t, t). Frans et al. 2024,
    2410.12557; their time runs the other way. The halves of the batch have their own noise and times.

    Args:
        target: the slow copy; ``rate`` of its average per step.
        finest: M, the number of steps at which a jump is the flow's own step; a power of two.
        part: of the batch, that learns jumps.
        bound: jumped-to points and targets are clipped to it in absolute value.
    """

    def __init__(
        self,
        denoiser: FlowMapDenoiser,
        codec: Codec,
        target: Follower[FlowMapDenoiser],
        rate: float = 0.999,
        finest: int = 128,
        part: float = 0.25,
        bound: float = 4.0,
        cond_dropout: float = 0.0,
    ):
        if not is_power_of_two(finest) or finest < 2:
            raise UsageError(
                f"finest, the number of the smallest steps, must be a power of two of at least 2, got {finest}"
            )
        if not 0 < part < 1:
            raise UsageError(f"part, the share of the batch that learns jumps, must lie in (0, 1), got {part}")
        if not 0 <= rate < 1:
            raise UsageError(f"rate must lie in [0, 1), got {rate}")
        if not bound > 0:
            raise UsageError(f"bound must be positive, got {bound}")
        self.denoiser, self.codec, self.target, self.rate = denoiser, codec, target, rate
        self.finest, self.part, self.bound, self.cond_dropout = finest, part, bound, cond_dropout

    def spans(self, rng: Random, n: int) -> tuple[Tensor, Tensor]:
        """t and half-lengths d, ``[n]`` each: t a multiple of 2d in (0, 1]."""
        levels = int(math.log2(self.finest))
        d = 2.0 ** -(1 + rng.integers(levels, (n,)).double())
        count = (0.5 / d).round()  # jumps of length 2d from 1 to 0
        t = (1 + (rng.uniform((n,), dtype=torch.float64) * count).floor().clamp(max=count - 1)) / count
        return t, d

    @torch.no_grad()
    def bootstrap(self, x_t: Tensor, t: Tensor, d: Tensor, cond: Cond) -> Tensor:
        """The mean of the copy's two half jumps."""
        copy = self.target.copy
        flow = d <= 1 / self.finest  # the smallest steps are those of the flow
        (h,) = cast(x_t, d)
        first = copy.average(x_t, t, torch.where(flow, t, t - d), cond)
        x = (x_t - h * first).clamp(-self.bound, self.bound)
        second = copy.average(x, t - d, torch.where(flow, t - d, t - 2 * d), cond)
        return ((first + second) / 2).clamp(-self.bound, self.bound)

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        self.target.follow(self.denoiser, self.rate)
        cond = batch.cond
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
        n = len(x_0)
        jumps = max(1, round(self.part * n))
        t, d = self.spans(rng, jumps)
        t = torch.cat([t, rng.uniform((n - jumps,), dtype=torch.float64)])
        d = torch.cat([d, torch.zeros(n - jumps, dtype=torch.float64)])
        t, d = expand(t.to(x_0.device), x_0), expand(d.to(x_0.device), x_0)
        x_1 = rng.normal_like(x_0)
        a, b = cast(x_0, 1 - t, t)
        x_t, target = a * x_0 + b * x_1, x_1 - x_0
        head = conditions.rows(cond, slice(jumps))
        target = torch.cat([self.bootstrap(x_t[:jumps], t[:jumps], d[:jumps], head), target[jumps:]])
        error = mean_rest((self.denoiser.average(x_t, t, t - 2 * d, cond) - target) ** 2)
        logs = {"jump_error": float(error[:jumps].detach().mean())}
        if jumps < n:
            logs["flow_error"] = float(error[jumps:].detach().mean())
        return Loss(error.mean(), logs, (t.detach().reshape(-1), error.detach()))
