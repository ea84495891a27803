r"""The continuous-time variational bound, and the variance of its estimate."""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import kl
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, mean_rest
from ornstein.denoisers.denoiser import Denoiser
from ornstein.objectives.times import UniformTimes
from ornstein.processes.base import GaussianProcess


def diffusion_nats(denoiser: Denoiser, x_0: Tensor, t: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
    r"""gamma'(t)/2 |eps - eps_hat|^2 at the given times, nats per dimension, ``[B]``; gamma = -log SNR.

    Its mean over t ~ U[0, 1] is the diffusion's term of the bound at infinitely many steps: Kingma et al. 2021, eq. 17.
    """
    process = denoiser.process
    assert isinstance(process, GaussianProcess)
    x_t = process.marginal(x_0, t).sample(rng)
    x_hat = denoiser(x_t, t, cond).mean
    error = mean_rest((process.eps(x_t, t, x_hat) - process.eps(x_t, t, x_0)).double() ** 2)
    rate = process.diffusion_sq(t) / process.sigma(t) ** 2
    return 0.5 * rate.reshape(-1) * error


def stepwise_nats(denoiser: Denoiser, x_0: Tensor, steps: int, rng: Random, cond: Cond = NO_COND) -> Tensor:
    r"""The same with finitely many steps: T/2 expm1(gamma_t - gamma_s) |eps - eps_hat|^2, t = n/T, s = t - 1/T; eq. 14."""
    if steps < 1:
        raise UsageError(f"a bound needs at least one step, got {steps}")
    process = denoiser.process
    assert isinstance(process, GaussianProcess)
    n = (UniformTimes(0.0)(rng, len(x_0)) * steps).ceil().clamp(1, steps)
    t, s = expand(n / steps, x_0), expand((n - 1) / steps, x_0)
    x_t = process.marginal(x_0, t).sample(rng)
    x_hat = denoiser(x_t, t, cond).mean
    error = mean_rest((process.eps(x_t, t, x_hat) - process.eps(x_t, t, x_0)).double() ** 2)
    factor = torch.expm1(process.log_snr(s) - process.log_snr(t))
    return 0.5 * steps * factor.reshape(-1) * error


def reconstruction_nats(process: GaussianProcess, x_0: Tensor, rng: Random, bins: int) -> Tensor:
    r"""-log p(x_0 | z_0), p(v | z_0) proportional to N(z_0/alpha_0; v, sigma_0^2/alpha_0^2) over ``bins`` values in [-1, 1]."""
    if bins < 2:
        raise UsageError(f"a discrete decoder needs at least 2 values, got {bins}")
    start = torch.zeros((), dtype=torch.float64, device=x_0.device)
    width = process.sigma(start) / process.alpha(start)
    if not width.item() > 0:
        raise CapabilityError(f"{type(process).__name__} has no noise at t = 0, so its first state has no decoder")
    z = x_0.double() + width * rng.normal_like(x_0).double()
    values = torch.linspace(-1, 1, bins, dtype=torch.float64, device=x_0.device)
    logits = -0.5 * ((z[..., None] - values) / width) ** 2
    index = ((x_0.double() + 1) / 2 * (bins - 1)).round().long().clamp(0, bins - 1)
    return mean_rest(F.cross_entropy(logits.flatten(0, -2), index.flatten(), reduction="none").reshape(x_0.shape))


@final
class ContinuousBound:
    r"""-log p(x_0) <= KL(q(z_1 | x_0) || p(z_1)) - E log p(x_0 | z_0) + E_t[gamma'/2 |eps - eps_hat|^2], bits per dimension.

    ``bins`` None leaves the reconstruction out (continuous data, whose density is that at gamma_0). Kingma et al. 2021.
    """

    def __init__(self, denoiser: Denoiser, codec: Codec, bins: int | None = 256, cond_dropout: float = 0.0):
        if not isinstance(denoiser.process, GaussianProcess):
            raise CapabilityError(
                f"the continuous bound needs a Gaussian process; {type(denoiser.process).__name__} is not"
            )
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.denoiser, self.codec, self.bins, self.cond_dropout = denoiser, codec, bins, cond_dropout
        self.times = UniformTimes(0.0)

    def terms(self, batch: Batch, rng: Random) -> dict[str, Tensor]:
        """``prior``, ``reconstruction`` and ``diffusion``, nats per dimension, ``[B]`` each."""
        process, cond = self.denoiser.process, batch.cond
        assert isinstance(process, GaussianProcess)  # checked when this was made
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
        end = torch.ones((), dtype=torch.float64, device=x_0.device)
        found = {"prior": kl(process.marginal(x_0, end), process.prior(x_0.shape)) / x_0[0].numel()}
        if self.bins is not None:
            found["reconstruction"] = reconstruction_nats(process, x_0, rng, self.bins)
        t = expand(self.times(rng, len(batch)).to(x_0.device), x_0)
        found["diffusion"] = diffusion_nats(self.denoiser, x_0, t, rng, cond)
        return found

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        terms = {name: value.mean() / math.log(2) for name, value in self.terms(batch, rng).items()}
        return Loss(
            torch.stack(list(terms.values())).sum().float(), {name: value.item() for name, value in terms.items()}
        )


@final
class BoundVariance:
    r"""E_t[L_t^2] of the diffusion's term: as its mean does not depend on the schedule between the ends, this is its variance.

    Given to the interior of a learned schedule as its own player; the ends and the network minimise the bound. Kingma et al.
    2021, appendix I.
    """

    def __init__(self, bound: ContinuousBound):
        self.bound = bound

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        return Loss((self.bound.terms(batch, rng)["diffusion"] ** 2).mean().float())
