r"""A network that gives the next step of the chain itself, as the first diffusion models did."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from ornstein.core.distributions import Gaussian
from ornstein.core.errors import UsageError
from ornstein.core.shapes import cast
from ornstein.denoisers.parametrizations import LearnedRange, Parametrization
from ornstein.processes.base import Affine
from ornstein.processes.gaussian import VP


@final
class ChainStep(Parametrization):
    r"""out = (f_mu, f_sigma), twice the channels: p(x_{n-1} | x_n) = N(sqrt(1 - beta_n) x_n + sqrt(beta_n) f_mu, sigma^2).

    sigma^2 = sigmoid(f_sigma / sqrt(T) + logit(beta_n)), so that a network of zeros walks as the forward chain does. As a
    posterior this is the Gaussian over x_0 whose reverse kernel has that mean and, where it is not below the least one
    beta~_n, that variance: chains that stride and solvers of the flow read it too. Sohl-Dickstein et al. 2015, section 2.2,
    with the scaling of the released code.
    """

    needs = VP
    outputs = 2

    def __init__(self, steps: int):
        if steps < 2:
            raise UsageError(f"a chain needs at least 2 steps, got {steps}")
        self.steps = steps

    def _step(self, process: VP, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """keep = sqrt(1 - beta), beta, and a, c, beta~ of q(x_s | x_t, x_0) = N(a x_t + c x_0, beta~), s one step below t."""
        s = (t - 1 / self.steps).clamp_min(0)
        fresh = -torch.expm1(process.log_snr(t) - process.log_snr(s))  # sigma_{t|s}^2 / sigma_t^2
        keep = process.alpha(t) / process.alpha(s)
        beta = process.sigma(t) ** 2 * fresh
        return keep, beta, (1 - fresh) / keep, process.alpha(s) * fresh, process.sigma(s) ** 2 * fresh

    def law(self, process: VP, out: Tensor, x_t: Tensor, t: Tensor) -> Gaussian:
        """p(x_{n-1} | x_n), as the network says."""
        f_mu, f_sigma = LearnedRange.split(out, x_t)
        keep, beta, *_ = self._step(process, t)
        a, b, logit = cast(x_t, keep, beta.sqrt(), beta.logit())
        return Gaussian(a * x_t + b * f_mu, torch.sigmoid(f_sigma / math.sqrt(self.steps) + logit))

    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Gaussian:
        assert isinstance(process, VP)
        law = self.law(process, out, x_t, t)
        _, _, a, c, least = self._step(process, t)
        back, scale = cast(x_t, a, 1 / c)
        var = ((law.var.double() - least) / c**2).clamp_min(0)
        return Gaussian(scale * (law.mean - back * x_t), var.to(x_t.dtype))

    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """f_mu of q(x_{n-1} | x_n, x_0)."""
        assert isinstance(process, VP)
        keep, beta, a, c, _ = self._step(process, t)
        of_x_t, of_x_0 = cast(x_t, (a - keep) / beta.sqrt(), c / beta.sqrt())
        return of_x_t * x_t + of_x_0 * x_0

    def gain(self, process: Affine, t: Tensor) -> Tensor:
        assert isinstance(process, VP)
        _, beta, _, c, _ = self._step(process, t)
        return beta.sqrt() / c
