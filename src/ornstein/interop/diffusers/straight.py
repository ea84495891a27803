"""Schedulers of EDM's process and of flow matching."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ornstein.core.errors import UsageError
from ornstein.denoisers.parametrizations import EDMScaling, Velocity
from ornstein.interop.diffusers import spacing
from ornstein.interop.diffusers.reading import Plan, Scheduler, bounded, require
from ornstein.interop.diffusers.steps import MultistepPP
from ornstein.interop.diffusers.table import Told
from ornstein.processes.gaussian import EDM, FlowMatching
from ornstein.samplers.ddim import DDIM
from ornstein.samplers.euler import Euler


def edm(name: str, options: Mapping[str, Any]) -> Scheduler:
    require(name, options, {"prediction_type": ("epsilon",), "sigma_schedule": ("karras", "exponential")})
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

    return Scheduler(
        name, options, EDM(low, high), EDMScaling(options["sigma_data"]), plan, lambda t: float((high**2 + 1) ** 0.5)
    )


def flow(name: str, options: Mapping[str, Any], mu: float | None) -> Scheduler:
    require(name, options, {"invert_sigmas": (False,), "stochastic_sampling": (False,)})
    if options["use_dynamic_shifting"] and mu is None:
        raise UsageError(f"{name} shifts by the picture's size (use_dynamic_shifting): give shift_mu")
    total, shift = options["num_train_timesteps"], options["shift"]

    def moved(sigma: spacing.Array) -> spacing.Array:
        if not options["use_dynamic_shifting"]:
            return spacing.shifted(sigma, shift)
        assert mu is not None
        strength = np.exp(mu) if options["time_shift_type"] == "exponential" else mu
        return np.asarray(strength / (strength + (1 / sigma - 1)))

    def plan(steps: int) -> Plan:
        spacing.check_steps(steps, options)
        # The table's own ends are shifted already, and the levels between them once more: that is what diffusers does.
        first, last = 1.0, 1 / total
        if not options["use_dynamic_shifting"]:
            last = float(spacing.shifted(np.array(last), shift))
        sigma = moved(np.linspace(first, last, steps))
        if options["shift_terminal"]:
            sigma = 1 - (1 - sigma) / ((1 - sigma[-1]) / (1 - options["shift_terminal"]))
        changed = spacing.transformed(float(sigma[0]), float(sigma[-1]), steps, options)
        times = torch.from_numpy(np.array(sigma if changed is None else changed))
        return Plan(torch.cat([times, torch.zeros(1, dtype=torch.float64)]).clamp(max=1), Euler)

    return Scheduler(name, options, FlowMatching(t_min=1 / total), Told(Velocity(), total, 0), plan)


def edm_solver(name: str, options: Mapping[str, Any]) -> Scheduler:
    """DPM-Solver++ of order 1 or 2 on EDM's process."""
    served: dict[str, tuple[Any, ...]] = {
        "solver_order": (1, 2),
        "algorithm_type": ("dpmsolver++",),
        "solver_type": ("midpoint",),
    }
    require(name, options, served)
    base, bound, order = edm(name, options), bounded(options), options["solver_order"]

    def plan(steps: int) -> Plan:
        grid = base.plan(steps).grid
        last = 1 if options["euler_at_final"] or (options["lower_order_final"] and steps < 15) else order
        if order == 1:
            return Plan(grid, lambda denoiser: DDIM(bound(denoiser)))
        return Plan(grid, lambda denoiser: MultistepPP(bound(denoiser), order, True, grid, [last]))

    return Scheduler(name, options, base.process, base.parametrization, plan, base.start)
