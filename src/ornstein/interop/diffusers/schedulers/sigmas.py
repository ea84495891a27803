"""Schedulers of k-diffusion's kind, on x/alpha and sigma/alpha: Euler, Euler ancestral, Heun, LMS, KDPM2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError, UsageError
from ornstein.denoisers.denoiser import Denoiser
from ornstein.interop.diffusers.schedulers import spacing
from ornstein.interop.diffusers.schedulers.told import Told, ToldAt
from ornstein.interop.diffusers.schedulers.words import (
    Plan,
    Scheduler,
    bounded,
    entries,
    form,
    levels,
    output,
    table_process,
)
from ornstein.samplers.adams import LMS
from ornstein.samplers.base import Sampler
from ornstein.samplers.ddim import DDIM
from ornstein.samplers.dpm_single import DPMSolver2
from ornstein.samplers.heun import EDMHeun


def k_family(
    name: str,
    options: Mapping[str, Any],
    sampler: Callable[[Denoiser], Sampler[Tensor]],
    told: Told | None = None,
    between: Literal["linear", "log"] | None = None,
) -> Scheduler:
    """Schedulers of k-diffusion's kind: fractional time steps, and transformations within their range."""
    full = {"use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False, **options}
    process, table = table_process(options, between or form(full))
    plain = table_process(options)[1]
    told = told if told is not None else output(options)

    def plan(steps: int) -> Plan:
        at = spacing.spaced(steps, options, rounded=False)
        times = entries(at, options)[:-1]
        sigma = plain.ratio(times).numpy()
        if options.get("interpolation_type") == "log_linear":
            low, top = (
                float(plain.ratio(torch.tensor(1 / table.steps, dtype=torch.float64))),
                float(plain.ratio(torch.tensor(1.0, dtype=torch.float64))),
            )
            sigma = np.array([top, low])
        changed = spacing.transformed(float(sigma[0]), float(sigma[-1]), steps, full)
        grid = levels(process, sigma if changed is None else changed, options)
        return Plan(grid, sampler)

    def start(t: float) -> float:
        # diffusers scales the first state of x/alpha by sigma_max, or by sqrt(sigma_max^2 + 1) for `leading`.
        leading = options["timestep_spacing"] == "leading"
        return 1.0 if leading else float(process.sigma(torch.tensor(t, dtype=torch.float64)))

    return Scheduler(name, options, process, told, plan, start)


def euler(name: str, options: Mapping[str, Any]) -> Scheduler:
    if options["interpolation_type"] not in ("linear", "log_linear"):
        raise UsageError(f"interpolation_type must be 'linear' or 'log_linear', got {options['interpolation_type']!r}")
    if options["interpolation_type"] == "log_linear" and form(options) == "linear":
        raise CapabilityError(f"{name}: log_linear is served together with Karras, exponential or beta sigmas only")
    told = None
    if options["timestep_type"] == "continuous" and options["prediction_type"] == "v_prediction":
        told = output(options, "log")
    return k_family(name, options, DDIM, told)


def euler_ancestral(name: str, options: Mapping[str, Any]) -> Scheduler:
    # In x/alpha the step with sigma_up is DDIM's with eta = 1.
    return k_family(name, options, lambda denoiser: DDIM(denoiser, eta=1.0))


def heun(name: str, options: Mapping[str, Any]) -> Scheduler:
    bound = bounded(options)
    return k_family(name, options, lambda denoiser: EDMHeun(bound(denoiser)))


def lms(name: str, options: Mapping[str, Any]) -> Scheduler:
    """Linear multistep of four values, followed down to zero."""
    return k_family(name, options, lambda denoiser: LMS(denoiser, to_zero=True))


def kdpm2(name: str, options: Mapping[str, Any]) -> Scheduler:
    """DPM-Solver-2: the middle of a step in log sigma, where the network is told the time by log interpolation.

    With Karras sigmas it is told rounded times at the ends of steps and exact ones in the middle.
    """
    base = k_family(name, options, DPMSolver2, between="log")
    if not options["use_karras_sigmas"]:
        return base
    total = options["num_train_timesteps"]

    def plan(steps: int) -> Plan:
        found = base.plan(steps)
        ends = found.grid[:-1]
        return replace(found, parametrization=ToldAt(base.parametrization, ends, (ends * total - 1).round()))

    return replace(base, plan=plan)
