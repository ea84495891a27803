"""Schedulers that step through the entries of a table of betas: DDPM, DDIM, PNDM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from ornstein.core.errors import CapabilityError, UsageError
from ornstein.denoisers.denoiser import Denoiser
from ornstein.interop.diffusers.schedulers import spacing
from ornstein.interop.diffusers.schedulers.pseudo import PseudoV
from ornstein.interop.diffusers.schedulers.steps import ChainDDPM, Strided, StridedDDIM
from ornstein.interop.diffusers.schedulers.words import (
    Plan,
    Scheduler,
    bounded,
    entries,
    output,
    require,
    table_process,
)
from ornstein.samplers.base import Sampler
from ornstein.samplers.pndm import PNDM


def ddpm(name: str, options: Mapping[str, Any]) -> Scheduler:
    """DDPM; ``fixed_large_log`` takes the root of a logarithm there, which is no number."""
    served = ("fixed_small", "fixed_small_log", "fixed_large", "learned_range")
    require(name, options, {"variance_type": served})
    process, _ = table_process(options, bounded=False)
    bound, variance = bounded(options), options["variance_type"]

    def plan(steps: int) -> Plan:
        grid = entries(spacing.spaced(steps, options, rounded=True), options)
        return Plan(grid, lambda denoiser: ChainDDPM(bound(denoiser), variance))

    return Scheduler(name, options, process, output(options), plan)


def ddim(name: str, options: Mapping[str, Any], eta: float) -> Scheduler:
    process, _ = table_process(options, bounded=False)
    bound, total = bounded(options), options["num_train_timesteps"]
    last = 0.0 if options["set_alpha_to_one"] else 1 / total

    def plan(steps: int) -> Plan:
        grid = entries(spacing.spaced(steps, options, rounded=True), options)
        stride = total // steps / total
        return Plan(grid, lambda d: StridedDDIM(bound(d), d, stride, last, eta))

    return Scheduler(name, options, process, output(options), plan)


def pndm(name: str, options: Mapping[str, Any]) -> Scheduler:
    """Pseudo-numerical methods: three Runge-Kutta steps, or one of Heun's kind (``skip_prk_steps``), then multistep."""
    served: dict[str, tuple[Any, ...]] = {
        "prediction_type": ("epsilon", "v_prediction"),
        "timestep_spacing": ("leading", "trailing"),
    }
    require(name, options, served)
    process, _ = table_process(options, bounded=False)
    total, prk = options["num_train_timesteps"], not options["skip_prk_steps"]
    last = 0.0 if options["set_alpha_to_one"] else 1 / total
    start: Literal["runge_kutta", "heun"] = "runge_kutta" if prk else "heun"

    def plan(steps: int) -> Plan:
        grid = entries(spacing.spaced(steps, options, rounded=True), options)
        if last and float(grid[-2]) <= last:
            raise CapabilityError(
                f"{name} with steps_offset = 0 and set_alpha_to_one = False ends with a step that moves nothing: not served"
            )
        if prk and steps < 4:
            raise UsageError(f"{name} with skip_prk_steps = False needs 4 steps or more, got {steps}")
        if prk and total // steps % 2:
            raise CapabilityError(
                f"{name} with skip_prk_steps = False halves its stride of {total // steps} time steps and rounds: not served; "
                "take a number of steps that makes it even"
            )
        if options["timestep_spacing"] == "trailing" and total % steps:
            raise CapabilityError(f"{name} with {steps} trailing steps has strides of different lengths: not served")
        stride = total // steps / total

        def sampler(denoiser: Denoiser) -> Sampler[Tensor]:
            if options["prediction_type"] == "v_prediction":
                return Strided(PseudoV(denoiser, start), 1 / total, stride, last)
            return Strided(PNDM(denoiser, start=start, to_zero=True), 1 / total, stride, last)

        return Plan(grid, sampler)

    return Scheduler(name, options, process, output(options), plan)
