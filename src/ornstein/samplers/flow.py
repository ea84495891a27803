r"""The probability-flow velocity dx/dt = alpha' x_0 + sigma' eps, shared by the solvers that step in t."""

from __future__ import annotations

from torch import Tensor

from ornstein.core.shapes import cast
from ornstein.processes.base import Affine
from ornstein.processes.remember import recall


def rates(process: Affine, t: Tensor) -> tuple[Tensor, Tensor]:
    r"""sigma'/sigma and alpha' - alpha sigma'/sigma: the flow's factors of x_t and of x_0, in float64."""
    rate = process.d_sigma(t) / process.sigma(t)
    return rate, process.d_alpha(t) - rate * process.alpha(t)


def velocity(process: Affine, x_t: Tensor, t: Tensor, x_0: Tensor) -> Tensor:
    r"""alpha' x_0 + sigma' (x_t - alpha x_0) / sigma, for sigma_t > 0."""
    a, b = recall(process, ("velocity", x_t.dtype), (t,), lambda: cast(x_t, *rates(process, t)))
    return a * x_t + b * x_0
