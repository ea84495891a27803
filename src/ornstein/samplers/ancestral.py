"""Ancestral sampling: draw x_s from the reverse kernel that the posterior over x_0 implies."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Gaussian
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
    network without variance, the learned or analytic one otherwise) or ``"large"`` (sigma_{t|s}^2 = beta_t, Gaussian
    processes only). Ho et al. 2020; Nichol & Dhariwal 2021. The last step, to t = 0, returns the mean.
    """

    needs = Reversible
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, variance: Literal["posterior", "large"] = "posterior"):
        super().__init__(denoiser)
        if variance not in ("posterior", "large"):
            raise UsageError(f"variance must be 'posterior' or 'large', got '{variance}'")
        if variance == "large" and not isinstance(denoiser.process, GaussianProcess):
            raise CapabilityError(
                f"variance='large' needs a Gaussian process; {type(denoiser.process).__name__} is not"
            )
        self.variance = variance

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        kernel = self.process.reverse(x_t, t, s, self.denoiser(x_t, t, cond))
        if not isinstance(kernel, Gaussian):
            return kernel.sample(rng), None
        var = kernel.var
        if self.variance == "large":
            (var,) = cast(
                x_t, self.process.sigma(t) ** 2 * -torch.expm1(self.process.log_snr(t) - self.process.log_snr(s))
            )
        std, inner = cast(x_t, var.sqrt(), s > 0)
        return kernel.mean + inner * std * rng.between(x_t, t, s), None
