"""Schedulers of multistep solvers in log-SNR: DPM-Solver++, DEIS, UniPC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from ornstein.denoisers.denoiser import Denoiser
from ornstein.interop.diffusers import spacing
from ornstein.interop.diffusers.reading import (
    Plan,
    Scheduler,
    bounded,
    entries,
    form,
    levels,
    output,
    require,
    table_process,
)
from ornstein.interop.diffusers.steps import MultistepPP, Tapered
from ornstein.interop.diffusers.table import betas, first_told
from ornstein.samplers.adams import DEIS
from ornstein.samplers.base import Sampler
from ornstein.samplers.unipc import UniPC

Build = Callable[[Denoiser, Tensor, int], Sampler[Tensor]]
"""denoiser, grid, and how many steps were asked for"""


def _solver(name: str, options: Mapping[str, Any], build: Build) -> Scheduler:
    """The grid and the told times that these classes share."""
    bound = bounded(options)
    karras, other = options["use_karras_sigmas"], options["use_exponential_sigmas"] or options["use_beta_sigmas"]
    process, table = table_process(options, form(options))
    whole: Literal["exact", "round", "floor"] = "floor"
    if not other and not (karras and options["beta_schedule"] == "squaredcos_cap_v2" and name.startswith("DPM")):
        whole = "round"
    total = options["num_train_timesteps"]
    ends = table.ratio(torch.tensor([1.0, 1 / total], dtype=torch.float64)).tolist()
    # Where lambda falls below this bound the table is cut: cosine tables end at a vanishing signal.
    half_log_snr = -table.ratio(torch.arange(total, 0, -1, dtype=torch.float64) / total).log()
    cut = int(torch.searchsorted(half_log_snr, options["lambda_min_clipped"]))

    def plan(steps: int) -> Plan:
        sigma = spacing.transformed(ends[0], ends[1], steps, options)
        if sigma is None:
            at = spacing.spaced_open(steps, options, total - cut)
            sigma = table.ratio(entries(at, options)[:-1]).numpy()
        grid = levels(process, sigma, options)

        return Plan(grid, lambda denoiser: build(bound(denoiser), grid, steps))

    top = None
    if whole == "floor":
        first = spacing.transformed(ends[0], ends[1], 10, options)
        assert first is not None
        top = first_told(betas(options), float(first[0]))
    return Scheduler(name, options, process, output(options, whole, top), plan)


def _ends(orders: list[int], grid: Tensor, steps: int) -> list[int]:
    """The orders of the last steps; where the very last moved nothing and is not made, that of the one before it is first."""
    return orders[1:] if len(grid) - 1 < steps else orders


def multistep(name: str, options: Mapping[str, Any]) -> Scheduler:
    """DPM-Solver++ of order 1 to 3."""
    served: dict[str, tuple[Any, ...]] = {
        "solver_order": (1, 2, 3),
        "algorithm_type": ("dpmsolver++",),
        "solver_type": ("midpoint", "heun"),
        "use_lu_lambdas": (False,),
        "use_flow_sigmas": (False,),
        "variance_type": (None,),
        "use_dynamic_shifting": (False,),
    }
    require(name, options, served)

    def build(denoiser: Denoiser, grid: Tensor, steps: int) -> Sampler[Tensor]:
        order = options["solver_order"]
        few = steps < 15 and options["lower_order_final"]
        ends = [1 if few or options["euler_at_final"] else order, 2 if few else order]
        return MultistepPP(denoiser, order, options["solver_type"] == "midpoint", grid, _ends(ends, grid, steps))

    return _solver(name, options, build)


def deis(name: str, options: Mapping[str, Any]) -> Scheduler:
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
        ends = [1, min(order, 2)] if few else []
        return Tapered(DEIS(denoiser, "log_rho", points=order), grid, _ends(ends, grid, steps))

    return _solver(name, {**options, "final_sigmas_type": "sigma_min", "lambda_min_clipped": -float("inf")}, build)


def unipc(name: str, options: Mapping[str, Any]) -> Scheduler:
    """UniPC of order 1 or 2 on the data prediction."""
    served: dict[str, tuple[Any, ...]] = {
        "solver_order": (1, 2),
        "predict_x0": (True,),
        "disable_corrector": ([],),
        "solver_p": (None,),
        "use_flow_sigmas": (False,),
        "use_dynamic_shifting": (False,),
        "final_sigmas_type": ("zero",),
    }
    require(name, options, served)

    def build(denoiser: Denoiser, grid: Tensor, steps: int) -> Sampler[Tensor]:
        return UniPC(denoiser, variant=options["solver_type"], p=options["solver_order"])

    return _solver(name, {**options, "lambda_min_clipped": -float("inf")}, build)
