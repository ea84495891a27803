r"""Score matching with an adversary that sees the denoised data: a loss for each of the two players."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, sum_rest
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.objectives.times import Times
from ornstein.processes.base import GaussianProcess


class Denoised:
    r"""H(x_t) = E[x_0 | x_t] by the network (x + sigma^2 score on VE), within ``bound``: what the adversary is shown."""

    def __init__(self, denoiser: Preconditioned, codec: Codec, times: Times, bound: float | None, cond_dropout: float):
        if not isinstance(denoiser.process, GaussianProcess):
            raise CapabilityError(f"denoised data need a Gaussian process; {type(denoiser.process).__name__} is not")
        if bound is not None and not bound > 0:
            raise UsageError(f"bound limits |x_0| and must be positive, got {bound}")
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.denoiser, self.codec, self.times = denoiser, codec, times
        self.bound, self.cond_dropout = bound, cond_dropout

    def __call__(self, batch: Batch, rng: Random) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """x_0, the times, the network's output, what it should have been, and H."""
        process, parametrization, cond = self.denoiser.process, self.denoiser.parametrization, batch.cond
        assert isinstance(process, GaussianProcess)
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
        t = expand(self.times(rng, len(batch)).to(x_0.device), x_0)
        x_t = process.marginal(x_0, t).sample(rng)
        out = self.denoiser.output(x_t, t, cond)
        h = parametrization.posterior(process, out, x_t, t).mean
        if self.bound is not None:
            h = h.clamp(-self.bound, self.bound)
        return x_0, t, out, parametrization.target(process, x_0, x_t, t), h


@final
class AdversarialScore:
    r"""The score network's loss: |sigma s + z|^2/2, summed over the values, + weight (D(H(x_t)) - 1)^2.

    The adversary D is held fixed here. Jolicoeur-Martineau et al. 2020, 2009.05475, eq. 7 with the losses of LSGAN.
    """

    def __init__(
        self,
        denoiser: Preconditioned,
        discriminator: nn.Module,
        codec: Codec,
        times: Times,
        *,
        weight: float = 1.0,
        bound: float | None = 1.0,
        cond_dropout: float = 0.0,
    ):
        if weight < 0:
            raise UsageError(f"the adversary's weight must be at least 0, got {weight}")
        self.denoised = Denoised(denoiser, codec, times, bound, cond_dropout)
        self.discriminator, self.weight = discriminator, weight

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        _, t, out, target, h = self.denoised(batch, rng)
        error = sum_rest((out - target) ** 2)
        fooled = (self.discriminator(h) - 1) ** 2 if self.weight else torch.zeros_like(error)
        value = 0.5 * error + self.weight * fooled
        logs = {"score": 0.5 * float(error.detach().mean()), "adversary": float(fooled.detach().mean())}
        return Loss(value.mean(), logs, (t.detach().reshape(-1), error.detach() / h[0].numel()))


@final
class ScoreAdversary:
    r"""The adversary's loss: (D(x_0) - 1)^2 + (D(H(x_t)) + 1)^2. It sees denoised data, never the noisy."""

    def __init__(
        self,
        denoiser: Preconditioned,
        discriminator: nn.Module,
        codec: Codec,
        times: Times,
        *,
        bound: float | None = 1.0,
        cond_dropout: float = 0.0,
    ):
        self.denoised = Denoised(denoiser, codec, times, bound, cond_dropout)
        self.discriminator = discriminator

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        with torch.no_grad():
            x_0, _, _, _, h = self.denoised(batch, rng)
        real, made = self.discriminator(x_0), self.discriminator(h)
        logs = {"real": float(real.detach().mean()), "made": float(made.detach().mean())}
        return Loss(((real - 1) ** 2 + (made + 1) ** 2).mean(), logs)
