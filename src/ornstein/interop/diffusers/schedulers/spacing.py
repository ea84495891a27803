"""Where the steps lie: diffusers' time-step spacings and its transformations of sigma, as arrays of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ornstein.core.errors import UsageError

Array = npt.NDArray[np.float64]


def check_steps(steps: int, options: Mapping[str, Any]) -> None:
    """At least one step, at most as many as the table has."""
    if not 1 <= steps <= options["num_train_timesteps"]:
        raise UsageError(f"steps must lie in 1 .. {options['num_train_timesteps']} (num_train_timesteps), got {steps}")


def spaced(steps: int, options: Mapping[str, Any], *, rounded: bool) -> Array:
    """Time steps n, decreasing: the spacing of DDPM, DDIM (whole numbers) and of the k-diffusion family."""
    check_steps(steps, options)
    total, kind = options["num_train_timesteps"], options["timestep_spacing"]
    if kind == "linspace":
        out = np.linspace(0, total - 1, steps)
        return (out.round() if rounded else out.astype(np.float32).astype(np.float64))[::-1]
    if kind == "leading":
        return (np.arange(steps) * float(total // steps))[::-1] + options["steps_offset"]
    return np.arange(total, 0, -total / steps).round() - 1


def spaced_open(steps: int, options: Mapping[str, Any], last: int | None = None) -> Array:
    """The spacing of the multistep solvers: ``linspace`` and ``leading`` place one step more and leave out the last."""
    check_steps(steps, options)
    total, kind = options["num_train_timesteps"], options["timestep_spacing"]
    last = total if last is None else last
    if kind == "linspace":
        return np.linspace(0, last - 1, steps + 1).round()[::-1][:-1]
    if kind == "leading":
        return (np.arange(steps + 1) * float(last // (steps + 1))).round()[::-1][:-1] + options["steps_offset"]
    return np.arange(last, 0, -total / steps).round() - 1


def karras(high: float, low: float, steps: int, rho: float = 7.0) -> Array:
    """Karras et al. 2022, eq. 5."""
    a, b = high ** (1 / rho), low ** (1 / rho)
    return np.asarray((a + np.linspace(0, 1, steps) * (b - a)) ** rho)


def exponential(high: float, low: float, steps: int) -> Array:
    """Equal steps in log sigma."""
    return np.exp(np.linspace(math.log(high), math.log(low), steps))


def beta(high: float, low: float, steps: int) -> Array:
    """Quantiles of Beta(0.6, 0.6) between both ends (Lee et al. 2024, 2407.12173)."""
    from scipy.stats import beta as law

    return np.asarray(low + law.ppf(1 - np.linspace(0, 1, steps), 0.6, 0.6) * (high - low))


def transformed(high: float, low: float, steps: int, options: Mapping[str, Any]) -> Array | None:
    """The levels that one of the ``use_..._sigmas`` options asks for, or None."""
    if options.get("sigma_max") is not None:
        high = options["sigma_max"]
    if options.get("sigma_min") is not None:
        low = options["sigma_min"]
    if options["use_karras_sigmas"]:
        return karras(high, low, steps)
    if options["use_exponential_sigmas"]:
        return exponential(high, low, steps)
    return beta(high, low, steps) if options["use_beta_sigmas"] else None


def shifted(sigma: Array, shift: float) -> Array:
    """s sigma / (1 + (s - 1) sigma): the time shift of flow models at higher resolutions (Esser et al. 2024)."""
    return shift * sigma / (1 + (shift - 1) * sigma)


def dynamically_shifted(sigma: Array, mu: float, kind: str) -> Array:
    """m/(m + 1/sigma - 1), m = e^mu (``exponential``) or mu (``linear``): a shift that goes with the picture's size."""
    strength = np.exp(mu) if kind == "exponential" else mu
    return np.asarray(strength / (strength + (1 / sigma - 1)))


def flow_levels(steps: int, options: Mapping[str, Any], mu: float | None, *, open_at_1: bool) -> Array:
    """Levels of the multistep solvers on flow matching. UniPC's begin a hair below 1 (``open_at_1``), others' a step below."""
    low = 1 / options["num_train_timesteps"]
    if open_at_1:
        sigma = np.linspace(1, low, steps + 1)[:-1]
        if options["use_dynamic_shifting"]:
            assert mu is not None
            sigma = dynamically_shifted(sigma, mu, options["time_shift_type"])
        else:
            sigma = shifted(sigma, options["flow_shift"])
        if options["shift_terminal"]:
            sigma = stretched(sigma, options["shift_terminal"])
        if abs(sigma[0] - 1) < 1e-6:
            sigma[0] -= 1e-6
        return sigma
    shift = options["flow_shift"] if mu is None else float(np.exp(mu))
    return np.flip(shifted(1 - np.linspace(1, low, steps + 1), shift))[:-1].copy()


def stretched(sigma: Array, end: float) -> Array:
    """Levels moved so that the last one becomes ``end``, 1 staying 1."""
    return np.asarray(1 - (1 - sigma) * (1 - end) / (1 - sigma[-1]))
