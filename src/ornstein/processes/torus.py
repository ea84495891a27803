r"""Diffusion of angles: Brownian motion on a product of circles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from ornstein.core.distributions import Dirac, Distribution, Posterior, Score
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, sum_rest
from ornstein.processes.base import SDE

_IMAGES = torch.arange(-3, 4, dtype=torch.float64)
_WAVES = torch.arange(1, 6, dtype=torch.float64)


def wrap(x: Tensor) -> Tensor:
    """Angles in [-pi, pi)."""
    return torch.remainder(x + math.pi, 2 * math.pi) - math.pi


class WrappedNormal(Distribution):
    r"""N(mean, var) wrapped onto the circle, per coordinate: p(x) = sum_k N(x + 2 pi k; mean, var).

    For var <= 4 seven images of the normal are summed, above it five terms of the Fourier series
    (1 + 2 sum_n exp(-n^2 var/2) cos n(x - mean))/(2 pi): both to float64's rounding.
    """

    def __init__(self, mean: Tensor, var: Tensor):
        self._mean, self._var = mean, var

    @property
    def mean(self) -> Tensor:
        """The circular mean, arg E[exp(i x)]."""
        return wrap(self._mean)

    def sample(self, rng: Random) -> Tensor:
        (std,) = cast(self._mean, self._var.sqrt())
        return wrap(self._mean + std * rng.normal_like(self._mean))

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log-density and score per coordinate, and which series was used."""
        delta = wrap(x.double() - self._mean.double()).unsqueeze(-1)
        var = self._var.double().expand(x.shape).unsqueeze(-1)
        wide = var.squeeze(-1) > 4
        near, far = var.clamp(max=4), var.clamp(min=4)
        shifted = delta + 2 * math.pi * _IMAGES.to(x.device)
        terms = -0.5 * shifted**2 / near
        log_near = torch.logsumexp(terms, -1) - 0.5 * (2 * math.pi * near.squeeze(-1)).log()
        score_near = -(terms.softmax(-1) * shifted / near).sum(-1)
        n = _WAVES.to(x.device)
        decay = (-0.5 * n**2 * far).exp()
        series = 1 + 2 * (decay * (n * delta).cos()).sum(-1)
        score_far = -2 * (decay * n * (n * delta).sin()).sum(-1) / series
        log_far = series.log() - math.log(2 * math.pi)
        return torch.where(wide, log_far, log_near), torch.where(wide, score_far, score_near), wide

    def log_prob(self, x: Tensor) -> Tensor:
        return sum_rest(self._parts(x)[0])

    def score(self, x: Tensor) -> Tensor:
        r"""\nabla log p(x), of x's shape and dtype."""
        return self._parts(x)[1].to(x.dtype)


class UniformAngles(Distribution):
    """Uniform on [-pi, pi) in every coordinate."""

    def __init__(self, like: Tensor):
        self.like = like

    def sample(self, rng: Random) -> Tensor:
        return (2 * rng.uniform_like(self.like) - 1) * math.pi

    def log_prob(self, x: Tensor) -> Tensor:
        return sum_rest(torch.full(x.shape, -math.log(2 * math.pi), dtype=torch.float64, device=x.device))


@final
class Torus(SDE):
    r"""Angles x in [-pi, pi)^n with dx = sqrt(d sigma^2/dt) dw, sigma_t^2 = sigma_min^2 ((sigma_max/sigma_min)^{2t} - 1).

    q(x_t | x_0) is the wrapped normal of variance sigma_t^2 and tends to the uniform law; at sigma_max = pi the two differ
    by 1.5 % in density. There is no mean of x_0 to ask for on a circle, so a network here gives the score, or frames of
    reference to plug in. Jing et al. 2022 (torsional diffusion), 2206.01729.
    """

    def __init__(self, sigma_min: float = 0.01 * math.pi, sigma_max: float = math.pi, t_min: float = 1e-3):
        super().__init__()
        if not 0 < sigma_min < sigma_max:
            raise UsageError(f"Torus needs 0 < sigma_min < sigma_max, got {sigma_min} and {sigma_max}")
        self.sigma_min, self.sigma_max, self.t_min = sigma_min, sigma_max, t_min
        self._rate = 2 * math.log(sigma_max / sigma_min)

    def sigma(self, t: Tensor) -> Tensor:
        """The standard deviation of the normal before it is wrapped."""
        return self.sigma_min * torch.expm1(self._rate * t).sqrt()

    def diffusion_sq(self, t: Tensor) -> Tensor:
        r"""g_t^2 = d sigma_t^2 / dt."""
        return self.sigma_min**2 * self._rate * (self._rate * t).exp()

    def prior(self, shape: Sequence[int]) -> UniformAngles:
        """Uniform angles."""
        return UniformAngles(torch.zeros(tuple(shape)))

    def marginal(self, x_0: Tensor, t: Tensor) -> WrappedNormal:
        return WrappedNormal(x_0, self.sigma(t) ** 2)

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """0: Brownian motion."""
        return torch.zeros_like(x)

    def diffuse(self, v: Tensor, t: Tensor) -> Tensor:
        (g,) = cast(v, self.diffusion_sq(t).sqrt())
        return g * v

    def score(self, x_t: Tensor, t: Tensor, posterior: Posterior) -> Tensor:
        r"""A given score as it is; for a point x_0 that of q(x_t | x_0), which is what a network regresses."""
        if isinstance(posterior, Score):
            return posterior.score
        if isinstance(posterior, Dirac):
            return self.marginal(posterior.x, t).score(x_t)
        raise CapabilityError(f"on a torus a posterior is Score or Dirac, not {type(posterior).__name__}")

    def move(self, x: Tensor, dx: Tensor) -> Tensor:
        """x + dx, wrapped to [-pi, pi)."""
        return wrap(x + dx)
