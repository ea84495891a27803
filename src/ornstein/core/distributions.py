r"""Distributions whose shapes are those of x: no batch/event split, and randomness is an argument.

A *posterior* is a distribution over x_0 (or the little that is known of it); a process returns the others. ``mean``
and ``var`` broadcast against x; ``log_prob`` sums over all but the batch: ``[B, ...] -> [B]``, in nats.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, sum_rest
from ornstein.core.state import X


class Distribution(ABC, Generic[X]):
    """Something to draw from. What a law cannot answer raises :class:`CapabilityError` and says why."""

    @abstractmethod
    def sample(self, rng: Random) -> X:
        """One draw."""

    @property
    def mean(self) -> Tensor:
        """E[x]."""
        raise CapabilityError(f"{type(self).__name__} has no known mean")

    @property
    def var(self) -> Tensor:
        """Var[x] per coordinate, broadcasting against x."""
        raise CapabilityError(f"{type(self).__name__} has no known variance")

    def log_prob(self, x: X) -> Tensor:
        """log p(x), ``[B]``."""
        raise CapabilityError(f"{type(self).__name__} has no known density")


Posterior = Distribution
"""A distribution over x_0 given x_t, as a denoiser returns it."""


class Dirac(Distribution):
    """All mass on one point: what a network that predicts a mean, and nothing else, knows."""

    def __init__(self, x: Tensor):
        self.x = x

    def sample(self, rng: Random) -> Tensor:
        return self.x

    @property
    def mean(self) -> Tensor:
        return self.x

    @property
    def var(self) -> Tensor:
        return torch.zeros((), dtype=self.x.dtype, device=self.x.device)


class Gaussian(Distribution):
    r"""N(mean, var) with diagonal covariance; ``var`` broadcasts against ``mean``."""

    def __init__(self, mean: Tensor, var: Tensor):
        self._mean, self._var = mean, var

    @property
    def mean(self) -> Tensor:
        return self._mean

    @property
    def var(self) -> Tensor:
        return self._var

    def sample(self, rng: Random) -> Tensor:
        (std,) = cast(self._mean, self._var.sqrt())
        return self._mean + std * rng.normal_like(self._mean)

    def log_prob(self, x: Tensor) -> Tensor:
        mean, var = self._mean.double(), self._var.double()
        return sum_rest((-0.5 * ((x.double() - mean) ** 2 / var + var.log() + math.log(2 * math.pi))).expand(x.shape))


class Ranged(Gaussian):
    r"""A Gaussian over x_0 whose network placed the reverse variance between its two bounds, at ``fraction``.

    fraction 0 is beta~ and 1 is beta, on a log scale (Nichol & Dhariwal 2021, eq. 15); it may lie beyond them. Samplers that
    stride read it: the same fraction serves between the bounds of a longer step.
    """

    def __init__(self, mean: Tensor, var: Tensor, fraction: Tensor):
        super().__init__(mean, var)
        self.fraction = fraction


class StudentT(Distribution):
    """Independent-per-sample multivariate Student-t: a Gaussian over the root of a shared chi-squared scale."""

    def __init__(self, mean: Tensor, scale: Tensor, dof: float):
        self._mean, self._scale, self.dof = mean, scale, dof

    @property
    def mean(self) -> Tensor:
        return self._mean

    @property
    def var(self) -> Tensor:
        if self.dof <= 2:
            raise CapabilityError(f"a Student-t law with {self.dof} degrees of freedom has no variance")
        return self._scale**2 * self.dof / (self.dof - 2)

    def sample(self, rng: Random) -> Tensor:
        mean = self._mean
        normals = rng.normal_like(mean)
        # chi^2 by inverse transform, so that one uniform a sample suffices whatever the degrees of freedom.
        u = rng.uniform((mean.shape[0],), dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
        from scipy.special import gammaincinv  # an extra: heavy tails only

        chi2 = torch.as_tensor(2 * gammaincinv(self.dof / 2, u.numpy()))
        root = (self.dof / chi2).sqrt().reshape(-1, *[1] * (mean.ndim - 1))
        scale, root = cast(mean, self._scale, root)
        return mean + scale * root * normals


class Categorical(Distribution):
    """Independent categoricals over the last dimension of ``logits [B, ..., K]``; draws are int64 ``[B, ...]``."""

    def __init__(self, logits: Tensor):
        self.logits = logits

    @property
    def probs(self) -> Tensor:
        """Normalised probabilities, ``[B, ..., K]``."""
        return self.logits.softmax(-1)

    @property
    def mean(self) -> Tensor:
        """The expected one-hot vector: the probabilities."""
        return self.probs

    def sample(self, rng: Random) -> Tensor:
        return rng.categorical(self.logits)

    def log_prob(self, x: Tensor) -> Tensor:
        return sum_rest(self.logits.log_softmax(-1).gather(-1, x.long().unsqueeze(-1)).squeeze(-1))


class Score(Distribution):
    r"""Only :math:`\nabla_{x_t} \log p_t(x_t)` is known (curved spaces, energy models): there is no mean to ask for."""

    def __init__(self, score: Tensor):
        self.score = score

    def sample(self, rng: Random) -> Tensor:
        raise CapabilityError("only the score is known here, so x_0 cannot be drawn; use a sampler that needs an SDE")

    @property
    def mean(self) -> Tensor:
        raise CapabilityError(
            "only the score is known here, and on this space it gives no mean of x_0; use a sampler that needs an SDE"
        )


class Product(Distribution[dict[str, Tensor]]):
    """One law per named part of a mixed state; draws are dicts."""

    def __init__(self, parts: Mapping[str, Distribution]):
        self.parts = dict(parts)

    def sample(self, rng: Random) -> dict[str, Tensor]:
        """One draw of every part, in the order in which they are named."""
        return {name: part.sample(rng) for name, part in self.parts.items()}

    def log_prob(self, x: dict[str, Tensor]) -> Tensor:
        """The sum over the parts, ``[B]``."""
        return torch.stack([part.log_prob(x[name]) for name, part in self.parts.items()]).sum(0)


def around(law: Distribution, mean: Tensor) -> Distribution:
    """The same law moved to another mean: its variance stays, where it has one."""
    if isinstance(law, Ranged):
        return Ranged(mean, law.var, law.fraction)
    return Gaussian(mean, law.var) if isinstance(law, Gaussian) else Dirac(mean)


def kl(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q) in nats, ``[B]``, for the pairs that have a closed form."""
    if isinstance(p, Gaussian) and isinstance(q, Gaussian):
        vp, vq = p.var.double(), q.var.double()
        delta = p.mean.double() - q.mean.double()
        return sum_rest((0.5 * (vp / vq + delta**2 / vq - 1 + vq.log() - vp.log())).expand(delta.shape))
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        lp, lq = p.logits.double().log_softmax(-1), q.logits.double().log_softmax(-1)
        # 0 log 0 = 0: where p gives no mass the term vanishes whatever q says.
        terms = torch.where(lp.isneginf(), torch.zeros_like(lp), lp.exp() * (lp - lq))
        return sum_rest(terms.sum(-1))
    raise CapabilityError(f"KL({type(p).__name__} || {type(q).__name__}) has no closed form here")
