"""The regression of a second moment of the noise, beside a mean that is held fixed."""

from __future__ import annotations

from typing import final

import torch

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, mean_rest
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.moments import LearnedMoment
from ornstein.objectives.times import Times
from ornstein.processes.base import Affine


@final
class MomentMatching:
    r"""E |eps^2 - h(x_t, t)|^2, or E |(eps - eps_theta)^2 - h(x_t, t)|^2, by the moment that the network predicts.

    Its minimiser is the conditional expectation. The mean's half of the output is not trained by it; give the update the
    parameters of the head alone. Bao et al. 2022, 2206.07309, eqs. 11 and 15.
    """

    def __init__(self, denoiser: Preconditioned, codec: Codec, times: Times, cond_dropout: float = 0.0):
        if not isinstance(denoiser.parametrization, LearnedMoment):
            raise CapabilityError(
                f"a second moment is trained in a network that predicts one; {type(denoiser.parametrization).__name__} has no "
                "such output: give the network a head and LearnedMoment"
            )
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.denoiser, self.codec, self.times, self.cond_dropout = denoiser, codec, times, cond_dropout

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        process, parametrization = self.denoiser.process, self.denoiser.parametrization
        assert isinstance(process, Affine) and isinstance(parametrization, LearnedMoment)
        cond = batch.cond
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
        t = expand(self.times(rng, len(batch)).to(x_0.device), x_0)
        x_t = process.marginal(x_0, t).sample(rng)
        mean, h = parametrization.split(self.denoiser.output(x_t, t, cond), x_t)
        target = parametrization.moment_target(process, mean.detach(), x_0, x_t, t)
        # Squares of noise have heavy tails; their squares are summed in float32 at least.
        error = mean_rest((h.float() - target.float()) ** 2)
        return Loss(error.mean(), levels=(t.detach().reshape(-1), error.detach()))
