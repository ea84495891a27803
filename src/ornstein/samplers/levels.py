r"""Noise levels between and beyond two times, and the forward kernel that raises the noise again."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.shapes import cast
from ornstein.processes.base import Affine
from ornstein.processes.remember import recall


def coordinates(process: Affine) -> tuple[int, ...]:
    """The shape of a process with an alpha for each coordinate; ``()`` where one serves all."""
    return tuple(process.alpha(torch.tensor(0.5, dtype=torch.float64)).shape)


def every(condition: Tensor, t: Tensor) -> Tensor:
    """A condition on noise levels as one decision for each sample, of the shape of ``t``."""
    if condition.shape == t.shape:
        return condition
    return condition.all() if t.ndim == 0 else condition.flatten(1).all(1).reshape(t.shape)


def level_between(process: Affine, t: Tensor, s: Tensor, weight: float) -> Tensor:
    r"""The time u at which lambda_u = (1 - weight) lambda_t + weight lambda_s; a weight above 1 goes beyond s.

    lambda = log(alpha/sigma). Where the process has a level for each coordinate, no time has the level asked for, and log t
    is interpolated instead. Where a level is infinite (alpha_t = 0, or s = 0) the result is s, for no level lies between.
    """
    if coordinates(process):
        u = torch.exp((1 - weight) * t.log() + weight * s.log())
        return torch.where(s > 0, u, s)
    a, b = process.log_snr(t), process.log_snr(s)
    finite = torch.isfinite(a) & torch.isfinite(b)
    level = torch.where(finite, (1 - weight) * a + weight * b, torch.zeros_like(a))
    return torch.where(finite, process.time(level), s)


def exponential_euler(process: Affine, x_t: Tensor, t: Tensor, s: Tensor, x_0: Tensor) -> Tensor:
    r"""x_s = sigma_s/sigma_t x_t + (alpha_s - alpha_t sigma_s/sigma_t) x_0: the flow towards a fixed x_0, DDIM's step."""

    def factors() -> tuple[Tensor, ...]:
        ratio = process.sigma(s) / process.sigma(t)
        return cast(x_t, ratio, process.alpha(s) - ratio * process.alpha(t))

    a, b = recall(process, ("exponential_euler", x_t.dtype), (t, s), factors)
    return a * x_t + b * x_0


def ddim(process: Affine, x_t: Tensor, t: Tensor, s: Tensor, x_0: Tensor, eta: float, z: Tensor) -> Tensor:
    r"""x_s = alpha_s x_0 + sqrt(sigma_s^2 - v^2) eps + v z, v^2 = eta^2 sigma_s^2 (1 - SNR_t / SNR_s), z ~ N(0, I)."""
    sigma_s = process.sigma(s)
    v = eta * sigma_s * (-torch.expm1(process.log_snr(t) - process.log_snr(s))).sqrt()
    ratio = (sigma_s**2 - v**2).clamp_min(0).sqrt() / process.sigma(t)
    a, b, c = cast(x_t, ratio, process.alpha(s) - ratio * process.alpha(t), v)
    return a * x_t + b * x_0 + c * z


def noised(process: Affine, x_s: Tensor, s: Tensor, t: Tensor, z: Tensor) -> Tensor:
    r"""x_t ~ q(x_t | x_s) for t >= s: alpha_{t|s} x_s + sigma_{t|s} z, sigma_{t|s}^2 = sigma_t^2 (1 - SNR_t/SNR_s)."""
    std = process.sigma(t) * (-torch.expm1((process.log_snr(t) - process.log_snr(s)).clamp(max=0))).sqrt()
    a, b = cast(x_s, process.alpha(t) / process.alpha(s), std)
    return a * x_s + b * z


def start_with_signal(process: Affine) -> float:
    """Just below t = 1 where the signal vanishes there (flow matching), else the process's own start."""
    if bool((process.alpha(torch.tensor(process.t_max, dtype=torch.float64)) == 0).any()):
        return 0.999
    return float(process.t_max)
