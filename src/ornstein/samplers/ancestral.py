"""Ancestral sampling: draw x_s from the reverse kernel that the posterior over x_0 implies."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Gaussian, Ranged
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess, Reversible
from ornstein.samplers.base import DenoisingSampler, State


@final
class Ancestral(DenoisingSampler):
    r"""x_s ~ E_{x_0 ~ posterior} q(x_s | x_t, x_0), on any process whose kernel is known.

    ``variance`` is ``"posterior"`` (beta~ plus what the posterior's own variance adds: DDPM's "fixed small" for a
    network without variance, the learned or analytic one otherwise), ``"large"`` (sigma_{t|s}^2 = beta_t, Gaussian
    processes only) or ``"range"`` (log var = f log beta + (1 - f) log beta~ with a learned f, whatever the stride: Nichol &
    Dhariwal 2021, section 4). Ho et al. 2020. The last step, to t = 0, returns the mean.
    """

    needs = Reversible
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, variance: Literal["posterior", "large", "range"] = "posterior"):
        super().__init__(denoiser)
        if variance not in ("posterior", "large", "range"):
            raise UsageError(f"variance must be 'posterior', 'large' or 'range', got '{variance}'")
        if variance != "posterior" and not isinstance(denoiser.process, GaussianProcess):
            raise CapabilityError(
                f"variance='{variance}' needs a Gaussian process; {type(denoiser.process).__name__} is not"
            )
        self.variance = variance

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        posterior = self.denoiser(x_t, t, cond)
        kernel = self.process.reverse(x_t, t, s, posterior)
        if not isinstance(kernel, Gaussian):
            return kernel.sample(rng), None
        var = kernel.var
        if self.variance == "large":
            (var,) = cast(x_t, self._large(t, s))
        elif self.variance == "range":
            if not isinstance(posterior, Ranged):
                raise CapabilityError(
                    "variance='range' needs a denoiser with a learned range of variances; use 'posterior' or 'large'"
                )
            large, shrink = cast(x_t, self._large(t, s), (self.process.sigma(s) / self.process.sigma(t)) ** 2)
            var = large * shrink ** (1 - posterior.fraction)
        # A learned variance may be infinite at s = 0, where it does not count.
        (var,) = cast(x_t, torch.where(s > 0, var, torch.zeros_like(var)))
        return kernel.mean + var.sqrt() * rng.between(x_t, t, s), None

    def _large(self, t: Tensor, s: Tensor) -> Tensor:
        """sigma_{t|s}^2: beta_t over one step of the training chain."""
        p = self.process
        large: Tensor = p.sigma(t) ** 2 * -torch.expm1(p.log_snr(t) - p.log_snr(s))
        return large
