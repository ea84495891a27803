r"""Blur and noise at once: high frequencies fade first, so that generation goes from coarse to fine."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError, UsageError
from ornstein.processes.base import GaussianProcess


@final
class Blur(GaussianProcess):
    r"""On cosine coefficients: alpha_t = cos(pi t/2) d_t(k), sigma_t = sin(pi t/2), one alpha for each frequency k.

    d_t = (1 - floor) exp(-lambda_k tau_t) + floor, lambda_k = pi^2 (k_x^2 + k_y^2)/n^2, tau_t = b_t^2/2,
    b_t = blur sin^2(pi t/2) in pixels: the heat equation, held above ``floor`` so that it can be run back. blur = 0
    is a variance-preserving process. Hoogeboom & Salimans 2023, 2209.05557, section 4; the idea of Lee et al. 2022,
    2207.11192, and Rissanen et al. 2023. States are ``[B, C, n, n]`` coefficients
    (:class:`ornstein.codecs.bases.Cosines`).
    """

    frequency: Tensor

    def __init__(self, size: int, blur: float = 20.0, floor: float = 0.001, t_min: float = 1e-3, t_max: float = 0.999):
        super().__init__()
        if size < 2:
            raise UsageError(f"a blur needs images of at least 2 x 2, got {size} x {size}")
        if blur < 0:
            raise UsageError(f"blur, the final width in pixels, must be >= 0, got {blur}")
        if not 0 < floor < 1:
            raise UsageError(
                f"floor must lie in (0, 1): at 0 a frequency would be lost and never come back; got {floor}"
            )
        self.size, self.blur, self.floor, self.t_min, self.t_max = size, blur, floor, t_min, t_max
        k = torch.arange(size, dtype=torch.float64, device="cpu") ** 2
        self.register_buffer("frequency", math.pi**2 * (k[:, None] + k) / size**2, persistent=False)

    def _wide(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """t, which broadcasts against the frequencies, and these on its device."""
        return t, self.frequency.to(t.device)

    def fade(self, t: Tensor) -> Tensor:
        """d_t for each frequency."""
        t, rate = self._wide(t)
        tau = (self.blur * torch.sin(math.pi / 2 * t) ** 2) ** 2 / 2
        return (1 - self.floor) * torch.exp(-rate * tau) + self.floor

    def _d_fade(self, t: Tensor) -> Tensor:
        t, rate = self._wide(t)
        sin2 = torch.sin(math.pi / 2 * t) ** 2
        tau, d_tau = (self.blur * sin2) ** 2 / 2, self.blur**2 * sin2 * (math.pi / 2) * torch.sin(math.pi * t)
        return -(1 - self.floor) * rate * d_tau * torch.exp(-rate * tau)

    def alpha(self, t: Tensor) -> Tensor:
        return torch.cos(math.pi / 2 * t) * self.fade(t)

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sin(math.pi / 2 * t) * torch.ones_like(self._wide(t)[1])

    def d_alpha(self, t: Tensor) -> Tensor:
        angle = math.pi / 2 * t
        return torch.cos(angle) * self._d_fade(t) - math.pi / 2 * torch.sin(angle) * self.fade(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return math.pi / 2 * torch.cos(math.pi / 2 * t) * torch.ones_like(self._wide(t)[1])

    def time(self, log_snr: Tensor) -> Tensor:
        raise CapabilityError("each frequency has its own noise level: no single time belongs to one")
