"""First-hitting diffusion: the drift of the bridge is regressed along its path."""

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
from ornstein.denoisers.signs import EndsNetwork
from ornstein.objectives.times import Times


@final
class BridgeMatching:
    r"""E w(z) (pi(z) - 1[y = 1])^2 over the bits that have not stopped, z on the bridge to y.

    The drifts of the model and of the bridge differ by 2 (pi - 1[y = 1])/(1 - z^2), whose square is the Kullback-Leibler
    divergence of paths. Near the ends it would count alone, so the weight is min(4/(1 - z^2), ``most``), which leaves the
    optimum, the posterior, where it is. The data must be -1 and 1. Ye, Wu & Liu 2022, 2209.01170, eq. 9.
    """

    def __init__(
        self, denoiser: EndsNetwork, codec: Codec, times: Times, most: float = 20.0, cond_dropout: float = 0.0
    ):
        if not most > 0:
            raise UsageError(f"most, the bound of the weight, must be positive, got {most:g}")
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.denoiser, self.codec, self.times = denoiser, codec, times
        self.most, self.cond_dropout = most, cond_dropout

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        cond = batch.cond
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
        t = expand(self.times(rng, len(x_0)).to(x_0.device), x_0)
        z = self.denoiser.process.marginal(x_0, t).sample(rng)
        chance = torch.sigmoid(self.denoiser(z, t, cond).logits)
        weight = (4 / (1 - z**2).clamp_min(1e-6)).clamp(max=self.most) * (z.abs() < 1)
        error = mean_rest(weight * (chance - (x_0 > 0).to(z)) ** 2)
        return Loss(error.mean(), levels=(t.detach().reshape(-1), error.detach()))
