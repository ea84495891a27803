"""Schedulers of EDM's process and of flow matching."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.parametrizations import EDMScaling, Velocity
from ornstein.interop.diffusers.schedulers import spacing
from ornstein.interop.diffusers.schedulers.exponential import Multistep, tapered
from ornstein.interop.diffusers.schedulers.told import Negated, Told
from ornstein.interop.diffusers.schedulers.words import Plan, Scheduler, bounded, require
from ornstein.processes.gaussian import EDM, FlowMatching
from ornstein.samplers.base import Sampler
from ornstein.samplers.ddim import DDIM
from ornstein.samplers.euler import Euler
from ornstein.samplers.tcd import TCD


def edm(name: str, options: Mapping[str, Any]) -> Scheduler:
    served = {"prediction_type": ("epsilon", "v_prediction"), "sigma_schedule": ("karras", "exponential")}
    require(name, options, served)
    low, high = options["sigma_min"], options["sigma_max"]

    def plan(steps: int) -> Plan:
        if steps < 1:
            raise UsageError(f"steps must be at least 1, got {steps}")
        karras = options["sigma_schedule"] == "karras"
        sigma = spacing.karras(high, low, steps, options["rho"]) if karras else spacing.exponential(high, low, steps)
        times = torch.from_numpy(sigma) / high
        times[0] = 1
        end = [] if options["final_sigmas_type"] == "sigma_min" else [0.0]
        grid = torch.cat([times, torch.tensor(end, dtype=torch.float64)])
        return Plan(grid, DDIM)

    scaling = EDMScaling(options["sigma_data"])
    parametrization = scaling if options["prediction_type"] == "epsilon" else Negated(scaling)
    return Scheduler(name, options, EDM(low, high), parametrization, plan, lambda t: float((high**2 + 1) ** 0.5))


def flow(name: str, options: Mapping[str, Any], mu: float | None, even: bool = False) -> Scheduler:
    if options["use_dynamic_shifting"] and mu is None:
        raise UsageError(f"{name} shifts by the picture's size (use_dynamic_shifting): give shift_mu")
    if mu is not None and not options["use_dynamic_shifting"]:
        raise UsageError(f"shift_mu goes with use_dynamic_shifting, which this {name} has not")
    require(name, options, {"time_shift_type": ("exponential", "linear")})
    total, shift = options["num_train_timesteps"], options["shift"]
    step: Callable[[Denoiser], Sampler[Tensor]] = Euler
    if options["stochastic_sampling"]:
        require(name, options, {"invert_sigmas": (False,)})
        step = partial(TCD, gamma=1.0)

    def plan(steps: int) -> Plan:
        spacing.check_steps(steps, options)
        # The table's own ends are shifted already, and the levels between them once more: that is what diffusers does.
        first, last = 1.0, 1 / total
        if not options["use_dynamic_shifting"]:
            last = float(spacing.shifted(np.array(last), shift))
        sigma = np.linspace(1, 1 / steps, steps) if even else np.linspace(first, last, steps)
        if mu is None:
            sigma = spacing.shifted(sigma, shift)
        else:
            sigma = spacing.dynamically_shifted(sigma, mu, options["time_shift_type"])
        if options["shift_terminal"]:
            sigma = spacing.stretched(sigma, options["shift_terminal"])
        changed = spacing.transformed(float(sigma[0]), float(sigma[-1]), steps, options)
        times = torch.from_numpy(np.array(sigma if changed is None else changed))
        return Plan(torch.cat([times, torch.zeros(1, dtype=torch.float64)]).clamp(max=1), step)

    told = Told(Velocity(), total, 0)
    if options["invert_sigmas"]:  # networks whose time runs from noise to data: they are told 1 - t, and give -v
        told = Told(Negated(Velocity()), -total, -total)
    return Scheduler(name, options, FlowMatching(t_min=1 / total), told, plan)


def edm_solver(name: str, options: Mapping[str, Any]) -> Scheduler:
    """DPM-Solver++ of order 1 to 3 on EDM's process, for the flow or the SDE."""
    served: dict[str, tuple[Any, ...]] = {
        "solver_order": (1, 2, 3),
        "algorithm_type": ("dpmsolver++", "sde-dpmsolver++"),
        "solver_type": ("midpoint", "heun"),
    }
    require(name, options, served)
    base, bound, order = edm(name, options), bounded(options), options["solver_order"]
    if options["algorithm_type"] == "sde-dpmsolver++":
        require(name, options, {"solver_order": (1, 2)})

    def plan(steps: int) -> Plan:
        grid = base.plan(steps).grid
        few = options["lower_order_final"] and steps < 15
        first = options["euler_at_final"] or few or options["final_sigmas_type"] == "zero"
        ends = [1 if first else order, 2 if few else order]
        orders = tapered(order, len(grid) - 1, ends[1:] if len(grid) - 1 < steps else ends)
        midpoint = options["solver_type"] == "midpoint"
        return Plan(grid, lambda d: Multistep(bound(d), options["algorithm_type"], midpoint, grid, orders))

    return Scheduler(name, options, base.process, base.parametrization, plan, base.start)
