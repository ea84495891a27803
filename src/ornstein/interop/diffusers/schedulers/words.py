"""What a scheduler's options mean in this library's words: the parts that all classes share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError, UsageError
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.parametrizations import X0, Eps, LearnedRange, Parametrization, V
from ornstein.denoisers.wrappers import Clip, DynamicThreshold
from ornstein.interop.diffusers.schedulers.betas import RatioTable, betas, zero_terminal_snr
from ornstein.interop.diffusers.schedulers.told import Told
from ornstein.processes.base import Affine
from ornstein.processes.gaussian import VP
from ornstein.samplers.base import Sampler


@dataclass(frozen=True)
class Plan:
    """One number of steps: where they lie, and what makes them."""

    grid: Tensor
    sampler: Callable[[Denoiser], Sampler[Tensor]]
    parametrization: Parametrization | None = None
    """the scheduler's, with time steps that are told as this number of steps has them; None where they do not depend on it"""


@dataclass(frozen=True)
class Scheduler:
    """What a scheduler's file says."""

    name: str
    """its class in diffusers"""
    options: Mapping[str, Any]
    process: Affine
    parametrization: Parametrization
    """of the network, which is told diffusers' time steps"""
    plan: Callable[[int], Plan]
    """for a number of steps, ``num_inference_steps``"""
    start: Callable[[float], float] = lambda t: 1.0
    """standard deviation of the first state, at its time"""


def require(name: str, options: Mapping[str, Any], known: Mapping[str, tuple[Any, ...]]) -> None:
    for key, allowed in known.items():
        if options[key] not in allowed:
            raise CapabilityError(
                f"{name} with {key} = {options[key]!r} is not served; known: {', '.join(map(repr, allowed))}"
            )


def table_process(
    options: Mapping[str, Any], between: Literal["linear", "log"] = "linear", bounded: bool = True
) -> tuple[VP, RatioTable]:
    """The process; ``bounded`` keeps a table with zero terminal SNR finite as the k-diffusion family does."""
    table, last = betas(options), None
    if options.get("rescale_betas_zero_snr"):
        table = zero_terminal_snr(table)
        last = 2.0**-24 if bounded else None
    schedule = RatioTable(table, between, last)
    return VP(schedule, t_min=1 / len(table)), schedule


def output(
    options: Mapping[str, Any], form: Literal["exact", "round", "floor", "log"] = "exact", top: float | None = None
) -> Told:
    kinds: dict[str, Parametrization] = {"epsilon": Eps(), "sample": X0(), "v_prediction": V()}
    kind, total = options["prediction_type"], options["num_train_timesteps"]
    if kind not in kinds:
        raise CapabilityError(f"prediction_type = '{kind}' belongs to flow models, this is a table of betas")
    return Told(with_variance(kinds[kind], options), total, 1, form, top)


def with_variance(base: Parametrization, options: Mapping[str, Any]) -> Parametrization:
    """The parametrisation of a network that gives a variance as well, where the options say so."""
    learned = options.get("variance_type") in ("learned", "learned_range")
    return LearnedRange(base, options["num_train_timesteps"]) if learned else base


def bounded(options: Mapping[str, Any]) -> Callable[[Denoiser], Denoiser]:
    """The bound on x_0 that the options ask for."""
    if options.get("thresholding"):
        ratio, limit = options["dynamic_thresholding_ratio"], options["sample_max_value"]
        return lambda denoiser: DynamicThreshold(denoiser, ratio, limit=limit)
    if options.get("clip_sample"):
        return lambda denoiser: Clip(denoiser, options["clip_sample_range"])
    return lambda denoiser: denoiser


def entries(steps: np.ndarray[Any, Any], options: Mapping[str, Any], last: float = 0.0) -> Tensor:
    """Time steps n of the table, and the end, as times."""
    total = options["num_train_timesteps"]
    if steps.max() > total - 1:
        raise UsageError(f"steps_offset = {options['steps_offset']} leads beyond the table of {total} entries")
    return torch.cat([torch.from_numpy((steps + 1) / total), torch.tensor([last], dtype=torch.float64)])


def levels(process: VP, sigma: np.ndarray[Any, Any], options: Mapping[str, Any]) -> Tensor:
    """Levels sigma/alpha, and the end, as times; an end that repeats the last level is left out, for it moves nothing."""
    times = process.time(-2 * torch.from_numpy(np.ascontiguousarray(sigma)).log())
    low = 1 / options["num_train_timesteps"] if options.get("final_sigmas_type") in ("sigma_min", "repeat") else 0.0
    if float(times[-1]) <= low + 1e-12:
        return times
    return torch.cat([times, torch.tensor([low], dtype=torch.float64)])


def form(options: Mapping[str, Any]) -> Literal["linear", "log"]:
    asked = any(options[k] for k in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"))
    return "log" if asked else "linear"
