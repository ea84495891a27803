"""Schedulers that step through the entries of a table of betas: DDPM, DDIM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ornstein.interop.diffusers.schedulers import spacing
from ornstein.interop.diffusers.schedulers.steps import ChainDDPM, StridedDDIM
from ornstein.interop.diffusers.schedulers.words import (
    Plan,
    Scheduler,
    bounded,
    entries,
    output,
    require,
    table_process,
)


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
