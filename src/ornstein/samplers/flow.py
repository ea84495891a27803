r"""The probability-flow velocity dx/dt = alpha' x_0 + sigma' eps, shared by the solvers that step in t."""

from __future__ import annotations

from torch import Tensor

from ornstein.core.shapes import cast
from ornstein.processes.base import Affine


def velocity(process: Affine, x_t: Tensor, t: Tensor, x_0: Tensor) -> Tensor:
    r"""alpha' x_0 + sigma' (x_t - alpha x_0) / sigma, for sigma_t > 0."""
    rate = process.d_sigma(t) / process.sigma(t)
    a, b = cast(x_t, rate, process.d_alpha(t) - rate * process.alpha(t))
    return a * x_t + b * x_0
