r"""The hybrid loss of learned variances: the simple regression for the mean, a little of the bound for the variance."""

from __future__ import annotations

import math
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
from ornstein.denoisers.parametrizations import LearnedRange
from ornstein.objectives.bound import reverse_law, step_nats
from ornstein.objectives.second_moment import LossSecondMoment
from ornstein.objectives.times import DiscreteTimes
from ornstein.processes.base import GaussianProcess


@final
class Hybrid:
    r"""L = simple |out - target|^2 + vlb T L_t, L_t the bound's term of step t in bits per dimension.

    With ``simple`` = 1 the mean's half of the output is held fixed inside L_t, so that the bound trains the variance only
    (L_hybrid, vlb = 0.001); with ``simple`` = 0 the bound trains both (L_vlb). Nichol & Dhariwal 2021, eq. 16.
    """

    def __init__(
        self,
        denoiser: Preconditioned,
        codec: Codec,
        times: DiscreteTimes | LossSecondMoment,
        *,
        simple: float = 1.0,
        vlb: float = 1e-3,
        bins: int | None = 256,
        cond_dropout: float = 0.0,
    ):
        if not isinstance(denoiser.parametrization, LearnedRange):
            raise CapabilityError("the hybrid loss trains a learned range of variances; the network predicts none")
        if denoiser.parametrization.steps != times.steps:
            raise UsageError(
                f"the network's variances are those of a chain of {denoiser.parametrization.steps} steps, the times are drawn "
                f"from one of {times.steps}; give both the same"
            )
        if simple < 0 or vlb < 0 or simple + vlb == 0:
            raise UsageError(f"the two weights must be at least 0 and not both 0, got {simple} and {vlb}")
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.denoiser, self.codec, self.times = denoiser, codec, times
        self.simple, self.vlb, self.bins, self.cond_dropout = simple, vlb, bins, cond_dropout

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        process, parametrization = self.denoiser.process, self.denoiser.parametrization
        assert isinstance(process, GaussianProcess) and isinstance(parametrization, LearnedRange)
        cond = batch.cond
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
        t = expand(self.times(rng, len(batch)).to(x_0.device), x_0)
        x_t = process.marginal(x_0, t).sample(rng)
        out = self.denoiser.output(x_t, t, cond)
        mean, raw = LearnedRange.split(out, x_t)
        error = mean_rest((mean - parametrization.target(process, x_0, x_t, t)) ** 2)
        held = torch.cat([mean.detach(), raw], 1) if self.simple else out
        s = (t - 1 / self.times.steps).clamp_min(0)
        # Rounding may leave s a hair above 0 at the first step.
        s = torch.where(s * self.times.steps < 0.5, torch.zeros_like(s), s)
        law = reverse_law(self.denoiser, held, x_t, t, s, "learned", self.times.steps)
        bits = step_nats(law, process, x_0, x_t, t, s, self.bins) / math.log(2)
        terms = self.simple * error + self.vlb * self.times.steps * bits
        logs = {"simple": float(error.detach().mean())}
        if isinstance(self.times, LossSecondMoment):
            weight = self.times.weight(t).to(terms)
            self.times.record(t, terms)
            terms = weight * terms
            logs["bits_per_dim"] = self.times.steps * float((weight * bits.detach()).mean())
        else:
            logs["bits_per_dim"] = self.times.steps * float(bits.detach().mean())
        return Loss(terms.mean().float(), logs, (t.detach().reshape(-1), error.detach()))
