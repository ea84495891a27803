r"""Grids: decreasing times as data. Each function places ``steps`` evaluations and ends at t = 0.

``f(process, steps, t_max=None, t_min=None) -> [steps + 1]``, float64: the first is ``t_max`` (where sampling starts),
the one before last ``t_min`` (the last level at which the network is asked), the last 0. A tensor that a search or a
person made is as good.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError, UsageError, unknown
from ornstein.processes.base import Affine, Process
from ornstein.samplers.levels import coordinates

_IN_TIME = ("uniform", "quadratic", "beta", "sgm_uniform")

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
    times = torch.linspace(high**0.5, low**0.5, steps, dtype=torch.float64) ** 2
    times[0] = high  # exactly, against rounding in the square
    return _close(times)


def _levels(
    process: Process, steps: int, t_max: float | None, t_min: float | None
) -> tuple[Affine, float, float, float]:
    """log(sigma/alpha) at both ends, kept finite where the signal vanishes at the start."""
    high, low = _ends(process, steps, t_max, t_min)
    if not isinstance(process, Affine):
        raise CapabilityError(
            f"this grid is spaced in noise levels and needs an Affine process; {type(process).__name__} is not"
        )
    if shape := coordinates(process):
        raise CapabilityError(
            f"this grid is spaced in noise levels, of which {type(process).__name__} has one for each coordinate "
            f"{list(shape)}: no single time belongs to a level; take a grid in t: {', '.join(_IN_TIME)}"
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


def leap(process: Process, steps: int, t_max: float | None = None, t_min: float | None = None) -> Tensor:
    """One step from the start to noise of twice the data's deviation, then :func:`karras`: for data of variance about 1.

    Above that level the posterior's mean hardly moves, and an exponential integrator crosses all of it in one step; so few
    steps remain for the levels that decide. The start may then be as noisy as its lack of a mean demands.
    """
    affine, high, top, low = _levels(process, steps, t_max, t_min)
    if steps < 3 or not low < math.log(2.0) < top:
        return karras(process, steps, t_max, t_min)
    rho = 7.0
    a, b = 2.0 ** (1 / rho), math.exp(low / rho)
    rest = rho * (a + torch.linspace(0, 1, steps - 1, dtype=torch.float64) * (b - a)).log()
    return _from_levels(affine, torch.cat([torch.tensor([top], dtype=torch.float64), rest]), high)


def even(process: Process, steps: int, t_max: float | None = None, t_min: float | None = None) -> Tensor:
    """Equal steps in t all the way to 0, without a stop at t_min: for learned jumps, of which every one counts."""
    high, _ = _ends(process, steps, t_max, t_min)
    return torch.linspace(high, 0, steps + 1, dtype=torch.float64)


def even_karras(process: Process, steps: int, t_max: float | None = None, t_min: float | None = None) -> Tensor:
    """The same on Karras's spacing: the levels of :func:`karras` at ``steps + 1`` evaluations, the last replaced by 0."""
    _ends(process, steps, t_max, t_min)
    return _close(karras(process, steps + 1, t_max, t_min)[:steps])


def cosine(process: Process, steps: int, t_max: float | None = None, t_min: float | None = None) -> Tensor:
    r"""Equal steps in the angle arctan(sigma/alpha): uniform times of the cosine schedule, on any process.

    Nichol & Dhariwal 2021, 2102.09672, eq. 17. Sabour et al. 2024, 2404.14507, derive it as optimal for Gaussian data
    ("KL optimal").
    """
    affine, high, top, low = _levels(process, steps, t_max, t_min)
    a, b = torch.tensor([top, low], dtype=torch.float64).exp().atan().tolist()
    return _from_levels(affine, torch.linspace(a, b, steps, dtype=torch.float64).tan().log(), high)


def sgm_uniform(process: Process, steps: int, t_max: float | None = None, t_min: float | None = None) -> Tensor:
    """Equal steps in t that stop one step above t_min, then 0: "SGM uniform", the "trailing" steps of diffusers."""
    high, low = _ends(process, steps, t_max, t_min)
    return _close(torch.linspace(high, low, steps + 1, dtype=torch.float64)[:-1])


def _beta_cdf(x: Tensor, a: float) -> Tensor:
    """The distribution function of Beta(a, a) for x <= 1/2, by its power series (which then halves with every term)."""
    # int_0^x u^{a-1} (1 - u)^{a-1} du = x^a sum_n c_n x^n/(a + n), c_n = prod_{m<=n} (m - a)/m.
    total, term = torch.full_like(x, 1 / a), torch.ones_like(x)
    for n in range(1, 60):
        term = term * x * (n - a) / n
        total = total + term / (a + n)
    norm = math.exp(2 * math.lgamma(a) - math.lgamma(2 * a))
    return x**a * total / norm


def beta(process: Process, steps: int, t_max: float | None = None, t_min: float | None = None) -> Tensor:
    """Quantiles of Beta(0.6, 0.6) in t: dense at both ends. Lee et al. 2024, 2407.12173."""
    high, low = _ends(process, steps, t_max, t_min)
    wanted = torch.linspace(1, 0, steps, dtype=torch.float64)
    tail = torch.minimum(wanted, 1 - wanted)
    below, above = torch.zeros_like(tail), torch.full_like(tail, 0.5)
    for _ in range(60):  # bisection, to the last bit
        middle = (below + above) / 2
        less = _beta_cdf(middle, 0.6) < tail
        below, above = torch.where(less, middle, below), torch.where(less, above, middle)
    quantile = torch.where(wanted > 0.5, 1 - above, above)
    times = low + (high - low) * quantile
    times[-1], times[0] = low, high  # exactly; one step is at the start
    return _close(times)


_ALIGNED = (4.382, 3.927, 3.573, 3.099, 2.293, 1.520, 0.770, -0.077, -1.108, -2.606, -6.215)
"""log(sigma/alpha) of ten steps, measured on the bundled Fashion-MNIST model by ``benchmarks/align_steps.py``."""


def align_your_steps(process: Process, steps: int, t_max: float | None = None, t_min: float | None = None) -> Tensor:
    """Levels aligned to the bundled model, so that steps share the error; between them, and for more steps, log-linear.

    After Sabour et al. 2024, 2404.14507, who use their tables so. A process that goes further stretches the outer steps.
    """
    affine, high, top, low = _levels(process, steps, t_max, t_min)
    table = torch.tensor(_ALIGNED, dtype=torch.float64)
    table[0], table[-1] = max(top, _ALIGNED[0]), min(low, _ALIGNED[-1])

    def position(level: float) -> float:
        i = int((table > level).sum().clamp(1, len(table) - 1))
        return i - 1 + float((table[i - 1] - level) / (table[i - 1] - table[i]))

    at = torch.linspace(position(top), position(low), steps, dtype=torch.float64)
    i = at.long().clamp(max=len(table) - 2)
    return _from_levels(affine, table[i] + (at - i) * (table[i + 1] - table[i]), high)


GRIDS: dict[str, Grid] = {
    "uniform": uniform,
    "trailing": trailing,
    "quadratic": quadratic,
    "log_snr": log_snr,
    "karras": karras,
    "exponential": log_snr,
    "cosine": cosine,
    "kl_optimal": cosine,
    "beta": beta,
    "sgm_uniform": sgm_uniform,
    "leap": leap,
    "even": even,
    "even_karras": even_karras,
    "align_your_steps": align_your_steps,
}
"""``exponential`` (equal steps in log sigma) and ``kl_optimal`` are other names."""


def get_grid(name: str) -> Grid:
    """The grid of that name."""
    if name not in GRIDS:
        raise unknown("grid", name, GRIDS)
    return GRIDS[name]
