"""Checks of the Affine rung."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ornstein.processes.base import Affine
from ornstein.testing.conformance.compare import close, require
from ornstein.testing.conformance.times import inner_times, name


def _derivative(function: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """d f/dt at one time, f's own shape, by automatic differentiation."""
    t = t.clone().requires_grad_()
    value = function(t)
    if not value.requires_grad:  # constant in t
        return torch.zeros_like(value)
    slopes = [torch.autograd.grad(v, t, retain_graph=True)[0] for v in value.flatten()]
    return torch.stack(slopes).reshape(value.shape)


def check_derivatives(process: Affine, x_0: Tensor) -> None:
    """``d_alpha`` and ``d_sigma`` are the derivatives of ``alpha`` and ``sigma``."""
    for t in inner_times(process, 7):
        at = f"at t = {float(t):.3g}"
        close(process.d_alpha(t), _derivative(process.alpha, t), f"{name(process)}: d_alpha {at}", rtol=1e-7)
        close(process.d_sigma(t), _derivative(process.sigma, t), f"{name(process)}: d_sigma {at}", rtol=1e-7)


def check_inverse(process: Affine, x_0: Tensor) -> None:
    """``time`` inverts ``log_snr``, which is log(alpha^2/sigma^2)."""
    t = inner_times(process, 50)
    if process.alpha(t[0]).ndim == 0:  # one level for all coordinates; otherwise no single time belongs to a level
        close(process.time(process.log_snr(t)), t, f"{name(process)}: time(log_snr(t))", rtol=1e-7, atol=1e-9)
    for s in t[::10]:
        level = 2 * (process.alpha(s).log() - process.sigma(s).log())
        close(process.log_snr(s), level, f"{name(process)}: log_snr at t = {float(s):.3g}", rtol=1e-7, atol=1e-7)


def check_levels(process: Affine, x_0: Tensor) -> None:
    """alpha_0 = 1 and sigma_0 = 0, and the signal-to-noise ratio falls strictly."""
    zero = torch.tensor(0.0, dtype=torch.float64)
    close(process.alpha(zero), torch.ones(1), f"{name(process)}: alpha at t = 0")
    close(process.sigma(zero), torch.zeros(1), f"{name(process)}: sigma at t = 0")
    levels = torch.stack([process.log_snr(t) for t in inner_times(process, 50)])
    require(bool((levels[1:] < levels[:-1]).all()), f"{name(process)}: log_snr does not fall strictly with t")
