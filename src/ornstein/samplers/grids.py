r"""Grids: decreasing times as data. Each function places ``steps`` evaluations and ends at t = 0.

``f(process, steps, t_max=None, t_min=None) -> [steps + 1]``, float64: the first is ``t_max`` (where sampling starts),
the one before last ``t_min`` (the last level at which the network is asked), the last 0. A tensor that a search or a
person made is as good.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError, UsageError, unknown
from ornstein.processes.base import Affine, Process

Grid = Callable[[Process, int, float | None, float | None], Tensor]


def _ends(process: Process, steps: int, t_max: float | None, t_min: float | None) -> tuple[float, float]:
    if steps < 1:
        raise UsageError(f"steps must be at least 1, got {steps}")
    high = process.t_max if t_max is None else t_max
    low = process.t_min if t_min is None else t_min
    if not 0 < low < high <= 1:
        raise UsageError(f"a grid needs 0 < t_min < t_max <= 1, got {low} and {high}")
    return high, low


def _close(times: Tensor) -> Tensor:
    return torch.cat([times, times.new_zeros(1)])


def uniform(process: Process, steps: int, t_max: float | None = None, t_min: float | None = None) -> Tensor:
    """Equal steps in t: DDPM's and DDIM's linear subsequence, flow matching's."""
    high, low = _ends(process, steps, t_max, t_min)
    return _close(torch.linspace(high, low, steps, dtype=torch.float64))


def trailing(process: Process, steps: int, t_max: float | None = None, t_min: float | None = None) -> Tensor:
    """Equal steps in t from the very start to 0: t_max (1 - i/steps). Lin et al. 2023, 2305.08891, section 3.3.

    The network is last asked at t_max/steps, so the last step is as long as the others (``uniform`` ends with a short one).
    """
    high, low = _ends(process, steps, t_max, t_min)
    times = high * (1 - torch.arange(steps, dtype=torch.float64) / steps)
    if float(times[-1]) < low * (1 - 1e-9):
        raise UsageError(f"{steps} trailing steps would ask the network below t_min = {low:.4g}; take fewer")
    return _close(times)


def quadratic(process: Process, steps: int, t_max: float | None = None, t_min: float | None = None) -> Tensor:
    """Equal steps in sqrt(t): DDIM's quadratic subsequence, denser near the data."""
    high, low = _ends(process, steps, t_max, t_min)
    return _close(torch.linspace(high**0.5, low**0.5, steps, dtype=torch.float64) ** 2)


def _levels(
    process: Process, steps: int, t_max: float | None, t_min: float | None
) -> tuple[Affine, float, float, float]:
    """log(sigma/alpha) at both ends, kept finite where the signal vanishes at the start."""
    high, low = _ends(process, steps, t_max, t_min)
    if not isinstance(process, Affine):
        raise CapabilityError(
            f"this grid is spaced in noise levels and needs an Affine process; {type(process).__name__} is not"
        )
    finite = torch.tensor([high, min(high, 0.999), low], dtype=torch.float64)
    level = -process.log_snr(finite) / 2
    top = level[0] if bool(torch.isfinite(level[0])) else level[1]
    return process, high, float(top), float(level[2])


def _from_levels(process: Affine, levels: Tensor, high: float) -> Tensor:
    times = process.time(-2 * levels)
    times[0] = high  # exactly, against rounding in the inverse
    return _close(times)


def log_snr(process: Process, steps: int, t_max: float | None = None, t_min: float | None = None) -> Tensor:
    """Equal steps in log-SNR: natural for exponential integrators (Lu et al. 2022)."""
    affine, high, top, low = _levels(process, steps, t_max, t_min)
    return _from_levels(affine, torch.linspace(top, low, steps, dtype=torch.float64), high)


def karras(process: Process, steps: int, t_max: float | None = None, t_min: float | None = None) -> Tensor:
    r"""Equal steps in (sigma/alpha)^{1/7}. Karras et al. 2022, eq. 5, rho = 7."""
    affine, high, top, low = _levels(process, steps, t_max, t_min)
    rho = 7.0
    roots = torch.linspace(0, 1, steps, dtype=torch.float64)
    a, b = torch.tensor([top, low], dtype=torch.float64).exp() ** (1 / rho)
    return _from_levels(affine, rho * (a + roots * (b - a)).log(), high)


def even(process: Process, steps: int, t_max: float | None = None, t_min: float | None = None) -> Tensor:
    """Equal steps in t all the way to 0, without a stop at t_min: for learned jumps, of which every one counts."""
    high, _ = _ends(process, steps, t_max, t_min)
    return torch.linspace(high, 0, steps + 1, dtype=torch.float64)


def even_karras(process: Process, steps: int, t_max: float | None = None, t_min: float | None = None) -> Tensor:
    """The same on Karras's spacing: the levels of :func:`karras` at ``steps + 1`` evaluations, the last replaced by 0."""
    return _close(karras(process, steps + 1, t_max, t_min)[:steps])


GRIDS: dict[str, Grid] = {
    "uniform": uniform,
    "trailing": trailing,
    "quadratic": quadratic,
    "log_snr": log_snr,
    "karras": karras,
    "even": even,
    "even_karras": even_karras,
}


def get_grid(name: str) -> Grid:
    """The grid of that name."""
    if name not in GRIDS:
        raise unknown("grid", name, GRIDS)
    return GRIDS[name]
