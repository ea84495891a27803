r"""How much an error counts at each noise level.

A weight is a function ``(process, parametrization, t) -> [B, 1, ...]`` that multiplies the squared error of the *network's
output*. ``uniform`` is what most papers train with: DDPM's simple loss (eps), EDM (F), flow matching (velocity). A weight
w(t) on the error of x_0 becomes w(t) gain(t)^2 on the output, so the others hold under every parametrisation.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.denoisers.parametrizations import Parametrization
from ornstein.processes.base import Affine

Weight = Callable[[Affine, Parametrization, Tensor], Tensor]


def uniform(process: Affine, parametrization: Parametrization, t: Tensor) -> Tensor:
    """1 on the output's error."""
    return torch.ones_like(t)


def snr(process: Affine, parametrization: Parametrization, t: Tensor) -> Tensor:
    """SNR_t on the error of x_0, that is 1 on the error of eps, whatever the network predicts."""
    return process.log_snr(t).exp() * parametrization.gain(process, t) ** 2


def likelihood(process: Affine, parametrization: Parametrization, t: Tensor) -> Tensor:
    r"""g_t^2 on the error of the score, that is g^2/sigma^2 = -d log SNR/dt on the error of eps. Song et al. 2021, 2101.09258.

    Half its integral over t bounds the Kullback-Leibler divergence of the model, up to a constant.
    """
    rate = 2 * (process.d_sigma(t) / process.sigma(t) - process.d_alpha(t) / process.alpha(t))
    return rate * snr(process, parametrization, t)


def min_snr(gamma: float = 5.0) -> Weight:
    r"""min(SNR_t, gamma) on the error of x_0. Hang et al. 2023, 2303.09556."""
    if not gamma > 0:
        raise UsageError(f"gamma must be positive, got {gamma}")

    def weight(process: Affine, parametrization: Parametrization, t: Tensor) -> Tensor:
        return process.log_snr(t).exp().clamp(max=gamma) * parametrization.gain(process, t) ** 2

    return weight


def p2(gamma: float = 1.0, k: float = 1.0) -> Weight:
    r"""(k + SNR_t)^{-gamma} on the error of eps, that is SNR_t times it on x_0. Choi et al. 2022, 2204.00227."""
    if not (gamma >= 0 and k >= 0):
        raise UsageError(f"P2 needs gamma >= 0 and k >= 0, got {gamma} and {k}")

    def weight(process: Affine, parametrization: Parametrization, t: Tensor) -> Tensor:
        ratio = process.log_snr(t).exp()
        return ratio * (k + ratio) ** -gamma * parametrization.gain(process, t) ** 2

    return weight
