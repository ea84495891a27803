"""Denoising score matching with heavy-tailed noise."""

from __future__ import annotations

from typing import final

import torch

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, expand, mean_rest
from ornstein.denoisers.scores import ScoreNetwork
from ornstein.objectives.times import Times
from ornstein.processes.heavy_tailed import HeavyTailedVE


@final
class HeavyTailedScore:
    r"""E sigma_t^2 |score(x_t, t) - grad log q(x_t | x_0)|^2 / 2, x_t = x_0 + sigma_t u. Its optimum is the score of
    p_t.

    The target is -(beta/a) sign(x_t - x_0) |(x_t - x_0)/a|^{beta - 1}: bounded for Laplace noise. Deasy et al. 2021,
    eq. 8.
    """

    def __init__(self, denoiser: ScoreNetwork, codec: Codec, times: Times, cond_dropout: float = 0.0):
        if not isinstance(denoiser.process, HeavyTailedVE):
            raise CapabilityError(f"heavy-tailed noise needs HeavyTailedVE, got {type(denoiser.process).__name__}")
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.denoiser, self.codec, self.times, self.cond_dropout = denoiser, codec, times, cond_dropout
        self.process = denoiser.process

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        cond = batch.cond
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
        t = expand(self.times(rng, len(x_0)).to(x_0.device), x_0)
        law = self.process.marginal(x_0, t)
        x_t = law.sample(rng)
        (sigma,) = cast(x_0, self.process.sigma(t))
        error = mean_rest((self.denoiser.output(x_t, t, cond) - sigma * law.score(x_t)) ** 2)
        return Loss(0.5 * error.mean(), levels=(t.detach().reshape(-1), error.detach()))
