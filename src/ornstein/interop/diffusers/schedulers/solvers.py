"""Schedulers of solvers in log-SNR: DPM-Solver(++) with and without a memory, DEIS, UniPC, SA-Solver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.parametrizations import X0, Eps, Parametrization, Velocity
from ornstein.interop.diffusers.schedulers import spacing
from ornstein.interop.diffusers.schedulers.adams import AdamsStep
from ornstein.interop.diffusers.schedulers.betas import betas, first_told
from ornstein.interop.diffusers.schedulers.exponential import Multistep, Singlestep, tapered
from ornstein.interop.diffusers.schedulers.steps import TaperedUniPC
from ornstein.interop.diffusers.schedulers.told import Told, ToldAt
from ornstein.interop.diffusers.schedulers.words import (
    Plan,
    Scheduler,
    bounded,
    entries,
    form,
    levels,
    output,
    require,
    table_process,
    with_variance,
)
from ornstein.processes.gaussian import FlowMatching
from ornstein.samplers.adams import DEIS
from ornstein.samplers.base import Sampler
from ornstein.samplers.tapered import Tapered
from ornstein.samplers.unipc import UniPC

Build = Callable[[Denoiser, Tensor, int], Sampler[Tensor]]
"""denoiser, grid, and how many steps were asked for"""
_CORRECTED = ("UniPCMultistepScheduler", "SASolverScheduler")
"""Those of which a last step that repeats a level still corrects the one before it."""
_NO_BOUND = {"lambda_min_clipped": -float("inf")}


def _solver(name: str, options: Mapping[str, Any], build: Build, mu: float | None = None) -> Scheduler:
    """The grid and the told times that these classes share."""
    if mu is not None and not (options["use_flow_sigmas"] and options["use_dynamic_shifting"]):
        raise UsageError(f"shift_mu goes with use_flow_sigmas and use_dynamic_shifting; this {name} has not both")
    if options["use_flow_sigmas"]:
        return _on_flow(name, options, build, mu)
    bound, corrected = bounded(options), name in _CORRECTED
    karras, other = options["use_karras_sigmas"], options["use_exponential_sigmas"] or options["use_beta_sigmas"]
    lu = options.get("use_lu_lambdas", False) and not karras
    process, table = table_process(options, "log" if lu else form(options))
    whole: Literal["exact", "round", "floor"] = "floor"
    squared = options["beta_schedule"] == "squaredcos_cap_v2" and name == "DPMSolverMultistepScheduler"
    if not (other and not lu) and not ((karras or lu) and squared):
        whole = "round"
    total = options["num_train_timesteps"]
    ends = table.ratio(torch.tensor([1.0, 1 / total], dtype=torch.float64)).tolist()
    # Where lambda falls below this bound the table is cut: cosine tables end at a vanishing signal.
    half_log_snr = -table.ratio(torch.arange(total, 0, -1, dtype=torch.float64) / total).log()
    cut = int(torch.searchsorted(half_log_snr, options["lambda_min_clipped"]))

    def plan(steps: int) -> Plan:
        spacing.check_steps(steps, options)
        sigma = (
            spacing.exponential(ends[0], ends[1], steps)
            if lu
            else spacing.transformed(ends[0], ends[1], steps, options)
        )
        if sigma is None:
            at = spacing.spaced_open(steps, options, total - cut)
            sigma = table.ratio(entries(at, options)[:-1]).numpy()
        grid = levels(process, sigma, options)
        if len(grid) - 1 < steps and corrected:
            grid = again(grid)
        return Plan(grid, lambda denoiser: build(bound(denoiser), grid, steps))

    top = first_told(betas(options), ends[0]) if whole == "floor" else None
    return Scheduler(name, options, process, output(options, whole, top), plan)


def _on_flow(name: str, options: Mapping[str, Any], build: Build, mu: float | None) -> Scheduler:
    """``use_flow_sigmas``: the same solvers on flow matching, alpha = 1 - sigma."""
    require(name, options, {"use_exponential_sigmas": (False,), "use_beta_sigmas": (False,)})
    unipc = name == "UniPCMultistepScheduler"
    if not unipc:
        require(name, options, {"use_karras_sigmas": (False,)})
    kinds: dict[str, Parametrization] = {"epsilon": Eps(), "sample": X0()}
    if options.get("algorithm_type", "++") in ("++", "dpmsolver++", "sde-dpmsolver++", "data_prediction"):
        kinds["flow_prediction"] = Velocity()
    require(name, options, {"prediction_type": tuple(kinds)})
    if unipc and options["use_dynamic_shifting"] and mu is None:
        raise UsageError(f"{name} shifts by the picture's size (use_dynamic_shifting): give shift_mu")
    total, bound = options["num_train_timesteps"], bounded(options)
    told = Told(with_variance(kinds[options["prediction_type"]], options), total, 0, "floor")

    def plan(steps: int) -> Plan:
        spacing.check_steps(steps, options)
        if options["use_karras_sigmas"]:
            plain = table_process(options)[1]
            high, low = plain.ratio(torch.tensor([1.0, 1 / total], dtype=torch.float64)).tolist()
            ratio = spacing.transformed(high, low, steps, options)
            assert ratio is not None
            sigma = ratio / (ratio + 1)
        else:
            sigma = spacing.flow_levels(steps, options, mu, open_at_1=unipc)
        # The levels are held in float32, of which the first, just below 1, leaves an alpha of few digits.
        times = torch.from_numpy(sigma.astype(np.float32).astype(np.float64))
        last = 0.0 if options["final_sigmas_type"] == "zero" else _flow_end(options, float(times[-1]), unipc)
        grid = times if last >= float(times[-1]) else torch.cat([times, torch.tensor([last], dtype=torch.float64)])
        if len(grid) - 1 < steps and name in _CORRECTED:
            grid = again(grid)
        parametrization = ToldAt(told, times, torch.from_numpy(np.floor(sigma * total)))
        return Plan(grid, lambda denoiser: build(bound(denoiser), grid, steps), parametrization)

    return Scheduler(name, options, FlowMatching(t_min=1 / total), told, plan)


def again(grid: Tensor) -> Tensor:
    """The grid with its last level once more, a rounding later: for the correction that the step to there makes."""
    return torch.cat([grid, torch.nextafter(grid[-1:], torch.zeros_like(grid[-1:]))])


def _flow_end(options: Mapping[str, Any], last: float, unipc: bool) -> float:
    """``final_sigmas_type = "sigma_min"``: the last level again, or the least of the table of betas read as a flow's."""
    if unipc or options["final_sigmas_type"] == "repeat":
        return last
    return float(table_process(options)[1].ratio(torch.tensor(1 / options["num_train_timesteps"], dtype=torch.float64)))


def _ends(orders: list[int], grid: Tensor, steps: int) -> list[int]:
    """The orders of the last steps; where the very last moved nothing and is not made, that of the one before it is first."""
    return orders[1:] if len(grid) - 1 < steps else orders


def _check_algorithm(name: str, options: Mapping[str, Any], algorithms: tuple[str, ...]) -> None:
    served: dict[str, tuple[Any, ...]] = {
        "solver_order": (1, 2, 3),
        "algorithm_type": algorithms,
        "solver_type": ("midpoint", "heun"),
        "variance_type": (None, "learned", "learned_range"),
        "time_shift_type": ("exponential",),
    }
    require(name, options, served)
    algorithm = options["algorithm_type"]
    if not algorithm.endswith("++") and options["final_sigmas_type"] == "zero":
        raise UsageError(f"{name}: algorithm_type = '{algorithm}' needs final_sigmas_type = 'sigma_min'")


def multistep(name: str, options: Mapping[str, Any], mu: float | None = None) -> Scheduler:
    """DPM-Solver and DPM-Solver++ of order 1 to 3, for the flow or the SDE."""
    _check_algorithm(name, options, ("dpmsolver++", "dpmsolver", "sde-dpmsolver++", "sde-dpmsolver"))
    if options["algorithm_type"] == "sde-dpmsolver":
        require(name, options, {"solver_order": (1, 2)})
    order = options["solver_order"]

    def build(denoiser: Denoiser, grid: Tensor, steps: int) -> Sampler[Tensor]:
        few = steps < 15 and options["lower_order_final"]
        first = options["euler_at_final"] or few or options["final_sigmas_type"] == "zero"
        orders = tapered(order, len(grid) - 1, _ends([1 if first else order, 2 if few else order], grid, steps))
        return Multistep(denoiser, options["algorithm_type"], options["solver_type"] == "midpoint", grid, orders)

    return _solver(name, options, build, mu)


def singlestep(name: str, options: Mapping[str, Any], mu: float | None = None) -> Scheduler:
    """DPM-Solver(++) in blocks of 1 to 3 steps from one state."""
    _check_algorithm(name, options, ("dpmsolver++", "dpmsolver", "sde-dpmsolver++"))
    order = options["solver_order"]

    def build(denoiser: Denoiser, grid: Tensor, steps: int) -> Sampler[Tensor]:
        zero = options["final_sigmas_type"] == "zero"
        low = options["lower_order_final"] or steps % order > 0 or zero
        orders = blocks(order, steps, low)
        if zero:
            orders[-1] = 1
        return Singlestep(denoiser, options["algorithm_type"], options["solver_type"] == "midpoint", grid, orders)

    spaced = {**options, "timestep_spacing": "linspace", "steps_offset": 0}
    return _solver(name, spaced, build, mu)


def blocks(order: int, steps: int, low: bool) -> list[int]:
    """The orders of ``steps`` steps, counting up in blocks; ``low``: the last blocks are short."""
    whole = list(range(1, order + 1))
    if order == 1 or not low:
        return whole * (steps // order)
    rest = steps % order
    if rest:
        return whole * (steps // order) + whole[:rest]
    return whole * (steps // order - 1) + ([1, 1] if order == 2 else [1, 2, 1])


def deis(name: str, options: Mapping[str, Any], mu: float | None = None) -> Scheduler:
    """DEIS in log rho of order 1 to 3; it ends at the lowest level of the table, not at 0."""
    served: dict[str, tuple[Any, ...]] = {
        "solver_order": (1, 2, 3),
        "use_flow_sigmas": (False,),
        "use_dynamic_shifting": (False,),
        "thresholding": (False,),
    }
    require(name, options, served)

    def build(denoiser: Denoiser, grid: Tensor, steps: int) -> Sampler[Tensor]:
        order = options["solver_order"]
        few = steps < 15 and options["lower_order_final"]
        solver = DEIS(denoiser, "log_rho", points=order)
        return Tapered(solver, len(grid) - 1, _ends([1, 2], grid, steps)) if few else solver

    return _solver(name, {**options, **_NO_BOUND, "final_sigmas_type": "sigma_min"}, build, mu)


def unipc(name: str, options: Mapping[str, Any], mu: float | None = None) -> Scheduler:
    """UniPC of order 1 to 3 on the data prediction."""
    served: dict[str, tuple[Any, ...]] = {
        "solver_order": (1, 2, 3),
        "predict_x0": (True,),
        "solver_type": ("bh1", "bh2"),
        "solver_p": (None,),
        "time_shift_type": ("exponential", "linear"),
    }
    require(name, options, served)
    if options["shift_terminal"] is not None and not options["use_flow_sigmas"]:
        raise UsageError(f"{name}: shift_terminal goes with use_flow_sigmas")

    def build(denoiser: Denoiser, grid: Tensor, steps: int) -> Sampler[Tensor]:
        order = options["solver_order"]
        ends = list(range(1, order)) if options["lower_order_final"] else []
        orders = tapered(order, len(grid) - 1, _ends(ends, grid, steps))
        solver = UniPC(denoiser, variant=options["solver_type"], p=order)
        return TaperedUniPC(solver, grid, orders, options["disable_corrector"])

    return _solver(name, {**options, **_NO_BOUND}, build, mu)


def sa_solver(name: str, options: Mapping[str, Any], mu: float | None = None) -> Scheduler:
    """SA-Solver with tau = 1 between the time steps 200 and 800; it ends at the lowest level of the table, not at 0."""
    served: dict[str, tuple[Any, ...]] = {
        "algorithm_type": ("data_prediction", "noise_prediction"),
        "predictor_order": (1, 2, 3, 4),
        "corrector_order": (1, 2, 3, 4),
        "variance_type": (None,),
        "tau_func": (None,),
    }
    require(name, options, served)
    total = options["num_train_timesteps"]
    floor = options["use_exponential_sigmas"] or options["use_beta_sigmas"]
    if options["use_flow_sigmas"]:
        between = 200 / total, 801 / total
    else:
        between = (201 / total, 802 / total) if floor else (200.5 / total, 801.5 / total)
    between = between[0] - 1e-9, between[1] - 2e-9

    def build(denoiser: Denoiser, grid: Tensor, steps: int) -> Sampler[Tensor]:
        most, best = options["predictor_order"], options["corrector_order"]
        count = [(min(most, i + 1), min(best, i + 2)) for i in range(len(grid) - 1)]
        if options["lower_order_final"]:
            count = [(min(p, steps - i), min(c, steps - i + 1)) for i, (p, c) in enumerate(count)]
        return AdamsStep(denoiser, options["algorithm_type"] == "data_prediction", between, grid, count)

    own = {"final_sigmas_type": "repeat", "use_dynamic_shifting": False}
    return _solver(name, {**options, **own}, build, mu)
