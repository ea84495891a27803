"""The denoising regression: time sampler x parametrisation x weight."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.errors import UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, mean_rest
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import LearnedRange
from ornstein.objectives.times import Times
from ornstein.objectives.weights import Weight, uniform
from ornstein.processes.base import Affine


@final
class Denoising:
    r"""E_{t, x_0, x_t} w(t) |out(x_t, t, cond) - target(x_0, x_t, t)|^2, averaged over coordinates.

    Covers DDPM's simple loss, EDM, v-prediction, flow matching, min-SNR and P2. ``cond_dropout`` is the probability with
    which a row's conditions go missing, which is what classifier-free guidance later needs. Where there are several, each
    of them goes missing alone as often, so that one may be given without the others. What was done to a sample
    (:data:`ornstein.core.cond.TOLD`) never goes missing.
    """

    def __init__(
        self,
        denoiser: Preconditioned,
        codec: Codec,
        times: Times,
        weight: Weight = uniform,
        cond_dropout: float = 0.0,
    ):
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        if isinstance(denoiser.parametrization, LearnedRange):
            raise UsageError("a learned range of variances is trained by the variational bound, not by this regression")
        self.denoiser, self.codec, self.times = denoiser, codec, times
        self.weight, self.cond_dropout = weight, cond_dropout

    def draws(self, batch: Batch, rng: Random) -> tuple[Tensor, Tensor, Tensor]:
        """The times drawn, and at each the squared error of the output and its weighted value, ``[B]``."""
        process, parametrization = self.denoiser.process, self.denoiser.parametrization
        assert isinstance(process, Affine)  # checked when the parametrisation was joined to the process
        cond = batch.cond
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
            names = sorted(set(cond) - conditions.TOLD)
            if len(names) > 1:
                for name in names:
                    alone = conditions.drop({name: cond[name]}, rng.uniform((len(batch),)) >= self.cond_dropout)
                    cond = {**cond, **alone}
        t = expand(self.times(rng, len(batch)).to(x_0.device), x_0)
        x_t = process.marginal(x_0, t).sample(rng)
        out = self.denoiser.output(x_t, t, cond)
        target = parametrization.target(process, x_0, x_t, t)
        error = mean_rest((out - target) ** 2)
        weighted = self.weight(process, parametrization, t).reshape(-1).to(error) * error
        return t, error, weighted

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        t, error, weighted = self.draws(batch, rng)
        return Loss(weighted.mean(), levels=(t.detach().reshape(-1), error.detach()))
