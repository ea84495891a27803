"""Training a network that is shown its own last estimate of the data."""

from __future__ import annotations

from typing import final

import torch

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.errors import UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, mean_rest
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.objectives.times import Times
from ornstein.processes.base import Affine

ESTIMATE = "estimate"
"""The name of the condition that carries the last estimate; a missing row stands for none."""


@final
class SelfConditioning:
    r"""E |out(x_t, t, estimate) - target|^2, the estimate with probability ``part`` sg E[x_0](x_t, t, none), else none.

    The estimate is made at the same (x_t, t); in sampling it is that of the step before. ``part`` 0 trains a network
    that was never shown one. Chen, Zhang & Hinton 2023, 2208.04202, algorithm 1.
    """

    def __init__(
        self, denoiser: Preconditioned, codec: Codec, times: Times, part: float = 0.5, cond_dropout: float = 0.0
    ):
        if not 0 <= part <= 1:
            raise UsageError(f"part, the share of rows that are shown an estimate, must lie in [0, 1], got {part}")
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.denoiser, self.codec, self.times = denoiser, codec, times
        self.part, self.cond_dropout = part, cond_dropout

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        process, cond = self.denoiser.process, batch.cond
        assert isinstance(process, Affine)
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
        t = expand(self.times(rng, len(x_0)).to(x_0.device), x_0)
        x_t = process.marginal(x_0, t).sample(rng)
        if self.part:
            shown = rng.uniform((len(x_0),)) < self.part
            with torch.no_grad():
                first = self.denoiser(x_t, t, cond).mean
            cond = {**cond, **conditions.drop({ESTIMATE: first}, shown)}
        out = self.denoiser.output(x_t, t, cond)
        error = mean_rest((out - self.denoiser.parametrization.target(process, x_0, x_t, t)) ** 2)
        return Loss(error.mean(), levels=(t.detach().reshape(-1), error.detach()))
