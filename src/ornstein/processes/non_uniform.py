"""Variance exploding at a speed of its own for each part of the state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from ornstein.core.distributions import Gaussian
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.processes.base import GaussianProcess


@final
class NonUniformVE(GaussianProcess):
    r"""alpha = 1, sigma_i(t)^2 = m_i^2 ((M_i/m_i)^{2t} - 1): each part between levels m_i and M_i of its own.

    A part whose M is larger is drowned earlier, and comes back later in the reverse direction: coarse before fine, a
    picture before its detail; a part whose M is small stays visible throughout, as a condition does. Batzolis et al.
    2022, 2207.09786. ``sigma_max`` broadcasts against the state without its batch, e.g. ``[C, 1, 1]`` for speeds by
    channel.
    """

    low: Tensor
    high: Tensor

    def __init__(self, sigma_max: Tensor, sigma_min: Tensor | float = 0.005, t_min: float = 1e-3):
        super().__init__()
        high = torch.as_tensor(sigma_max, dtype=torch.float64, device="cpu")
        low = torch.as_tensor(sigma_min, dtype=torch.float64, device="cpu").expand(high.shape).clone()
        if bool((low <= 0).any()) or bool((high <= low).any()):
            i = int((high / low).argmin())
            raise UsageError(
                f"each part needs 0 < sigma_min < sigma_max, got {float(low.flatten()[i]):g} and {float(high.flatten()[i]):g}"
            )
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)
        self.t_min = t_min

    def _levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        low, high = self.low.to(t.device), self.high.to(t.device)
        return low, 2 * (high / low).log()

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t) * torch.ones_like(self._levels(t)[0])

    def sigma(self, t: Tensor) -> Tensor:
        low, rate = self._levels(t)
        return low * torch.expm1(rate * t).sqrt()

    def d_alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(self.alpha(t))

    def d_sigma(self, t: Tensor) -> Tensor:
        low, rate = self._levels(t)
        return low * rate * torch.exp(rate * t) / (2 * torch.expm1(rate * t).sqrt())

    def diffusion_sq(self, t: Tensor) -> Tensor:
        low, rate = self._levels(t)
        return low**2 * rate * torch.exp(rate * t)

    def prior(self, shape: Sequence[int]) -> Gaussian:
        """N(0, sigma_1^2) with a variance for each part."""
        zeros = torch.zeros(tuple(shape))
        return Gaussian(zeros, (self.sigma(torch.ones((), dtype=torch.float64)) ** 2).to(zeros).expand(tuple(shape)))

    def time(self, log_snr: Tensor) -> Tensor:
        raise CapabilityError("each part has its own noise level: no single time belongs to one")
