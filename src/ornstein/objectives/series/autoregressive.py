"""Training to forecast step by step: the noise of each step is predicted from a recurrent state of the steps before it."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core.batch import Batch
from ornstein.core.cond import Cond
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.objectives.times import Times


def further_of(cond: Cond, length: int) -> Tensor | None:
    """Calendar and covariates of each step, ``[B, L, F]``; None where there are none."""
    parts = [cond["calendar"]] if "calendar" in cond else []
    if "static" in cond:
        parts.append(cond["static"][:, None].expand(-1, length, -1))
    return torch.cat(parts, -1) if parts else None


@final
class Autoregressive:
    r"""E |(out(x_t, t, h_{l-1}) - target) * observed_l|^2 over the steps l, h_{l-1} the state after step l - 1.

    Rasul et al. 2021, 2101.12072, algorithm 1. ``batch.x [B, K, L]`` holds NaN where nothing was observed; what is missing
    enters the recurrence as 0 with a mark, and bears no loss. The denoiser's state space is one step, ``[N, K]``.
    """

    def __init__(self, denoiser: Preconditioned, codec: Codec, times: Times):
        self.denoiser, self.codec, self.times = denoiser, codec, times

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        denoiser, process = self.denoiser, self.denoiser.process
        x = self.codec.encode(batch.x, rng, batch.cond)
        observed = x.isfinite()
        x = torch.where(observed, x, torch.zeros_like(x))
        network = denoiser.network
        further = further_of(batch.cond, x.shape[-1])
        # The calendar of the step to come is known, so it enters with the step before it.
        ahead = None if further is None else further.roll(-1, 1)
        states, _ = network.advance(network.inputs(x, observed, ahead))  # type: ignore[operator]
        x_0, sought = (v[..., 1:].transpose(1, 2).flatten(0, 1) for v in (x, observed))
        cond = {"state": states[:, :-1].flatten(0, 1), "sought": sought}
        t = expand(self.times(rng, len(x_0)).to(x_0.device), x_0)
        x_t = process.marginal(x_0, t).sample(rng)
        error = (denoiser.output(x_t, t, cond) - denoiser.parametrization.target(process, x_0, x_t, t)) ** 2 * sought
        return Loss(error.sum() / sought.sum().clamp_min(1))
