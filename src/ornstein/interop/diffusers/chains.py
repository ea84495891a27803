"""Schedulers that step through the entries of a table of betas: DDPM, DDIM, PNDM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ornstein.core.errors import CapabilityError
from ornstein.denoisers.denoiser import Denoiser
from ornstein.interop.diffusers import spacing
from ornstein.interop.diffusers.reading import Plan, Scheduler, bounded, entries, output, require, table_process
from ornstein.interop.diffusers.steps import ChainDDPM, Strided, StridedDDIM
from ornstein.samplers.base import Sampler
from ornstein.samplers.pndm import PNDM


def ddpm(name: str, options: Mapping[str, Any]) -> Scheduler:
    require(name, options, {"variance_type": ("fixed_small", "fixed_small_log", "fixed_large")})
    process, _ = table_process(options, bounded=False)
    bound, large = bounded(options), options["variance_type"] == "fixed_large"

    def plan(steps: int) -> Plan:
        grid = entries(spacing.spaced(steps, options, rounded=True), options)
        return Plan(grid, lambda denoiser: ChainDDPM(bound(denoiser), large))

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
    """PLMS, latent diffusion's form of pseudo-numerical methods: one step of Heun's kind, then linear multistep."""
    require(
        name, options, {"skip_prk_steps": (True,), "prediction_type": ("epsilon",), "timestep_spacing": ("leading",)}
    )
    process, _ = table_process(options, bounded=False)
    total = options["num_train_timesteps"]
    last = 0.0 if options["set_alpha_to_one"] else 1 / total

    def plan(steps: int) -> Plan:
        grid = entries(spacing.spaced(steps, options, rounded=True), options)
        if last and float(grid[-2]) <= last:
            raise CapabilityError(
                f"{name} with steps_offset = 0 and set_alpha_to_one = False ends with a step that moves nothing: not served"
            )
        stride = total // steps / total

        def sampler(denoiser: Denoiser) -> Sampler[Tensor]:
            return Strided(PNDM(denoiser, start="heun", to_zero=True), 1 / total, stride, last)

        return Plan(grid, sampler)

    return Scheduler(name, options, process, output(options), plan)
