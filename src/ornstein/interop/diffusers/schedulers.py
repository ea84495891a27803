"""A diffusers scheduler's config as a process, a parametrisation, and a plan (grid and sampler) for a number of steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError, UsageError
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.parametrizations import X0, EDMScaling, Eps, Parametrization, V, Velocity
from ornstein.denoisers.wrappers import Clip, DynamicThreshold
from ornstein.interop.diffusers import spacing
from ornstein.interop.diffusers.config import read
from ornstein.interop.diffusers.steps import ChainDDPM, StridedDDIM
from ornstein.interop.diffusers.table import RatioTable, Told, betas, first_told, zero_terminal_snr
from ornstein.processes.base import Affine
from ornstein.processes.gaussian import EDM, VP, FlowMatching
from ornstein.samplers.base import Sampler
from ornstein.samplers.ddim import DDIM
from ornstein.samplers.dpm_solver import DPMSolverPP2M
from ornstein.samplers.euler import Euler
from ornstein.samplers.heun import EDMHeun


@dataclass(frozen=True)
class Plan:
    """One number of steps: where they lie, and what makes them."""

    grid: Tensor
    sampler: Callable[[Denoiser], Sampler[Tensor]]


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


def scheduler(source: Mapping[str, Any] | str | Path, *, shift_mu: float | None = None, eta: float = 0.0) -> Scheduler:
    """Read a ``scheduler_config.json`` (a file, a folder with it, or its contents).

    Args:
        shift_mu: the shift that goes with the picture's size, for flow models with ``use_dynamic_shifting``.
        eta: of DDIM, which keeps it out of its file.

    Raises:
        CheckpointError: no such file, or not a scheduler's.
        UsageError: an unknown class, option or value.
        CapabilityError: an option that is known and not served here (it is named).
    """
    name, options = read(source)
    build = _BUILDERS[name]
    if build is _flow:
        return _flow(name, options, shift_mu)
    if shift_mu is not None:
        raise UsageError(f"shift_mu belongs to flow models; {name} has none")
    if build is _ddim:
        return _ddim(name, options, eta)
    if eta:
        raise UsageError(f"eta belongs to DDIM; {name} has none")
    return build(name, options)


def _require(name: str, options: Mapping[str, Any], known: Mapping[str, tuple[Any, ...]]) -> None:
    for key, allowed in known.items():
        if options[key] not in allowed:
            raise CapabilityError(
                f"{name} with {key} = {options[key]!r} is not served; known: {', '.join(map(repr, allowed))}"
            )


def _table(
    options: Mapping[str, Any], between: Literal["linear", "log"] = "linear", bounded: bool = True
) -> tuple[VP, RatioTable]:
    """The process; ``bounded`` keeps a table with zero terminal SNR finite as the k-diffusion family does."""
    table, last = betas(options), None
    if options.get("rescale_betas_zero_snr"):
        table = zero_terminal_snr(table)
        last = 2.0**-24 if bounded else None
    schedule = RatioTable(table, between, last)
    return VP(schedule, t_min=1 / len(table)), schedule


def _output(
    options: Mapping[str, Any], form: Literal["exact", "round", "floor", "log"] = "exact", top: float | None = None
) -> Told:
    kinds: dict[str, Parametrization] = {"epsilon": Eps(), "sample": X0(), "v_prediction": V()}
    kind = options["prediction_type"]
    if kind not in kinds:
        raise CapabilityError(f"prediction_type = '{kind}' belongs to flow models, this is a table of betas")
    return Told(kinds[kind], options["num_train_timesteps"], 1, form, top)


def _bounded(options: Mapping[str, Any]) -> Callable[[Denoiser], Denoiser]:
    """The bound on x_0 that the options ask for."""
    if options.get("thresholding"):
        ratio, limit = options["dynamic_thresholding_ratio"], options["sample_max_value"]
        return lambda denoiser: DynamicThreshold(denoiser, ratio, limit=limit)
    if options.get("clip_sample"):
        return lambda denoiser: Clip(denoiser, options["clip_sample_range"])
    return lambda denoiser: denoiser


def _entries(steps: np.ndarray[Any, Any], options: Mapping[str, Any], last: float = 0.0) -> Tensor:
    """Time steps n of the table, and the end, as times."""
    total = options["num_train_timesteps"]
    if steps.max() > total - 1:
        raise UsageError(f"steps_offset = {options['steps_offset']} leads beyond the table of {total} entries")
    return torch.cat([torch.from_numpy((steps + 1) / total), torch.tensor([last], dtype=torch.float64)])


def _ddpm(name: str, options: Mapping[str, Any]) -> Scheduler:
    _require(name, options, {"variance_type": ("fixed_small", "fixed_small_log", "fixed_large")})
    process, _ = _table(options, bounded=False)
    bound, large = _bounded(options), options["variance_type"] == "fixed_large"

    def plan(steps: int) -> Plan:
        grid = _entries(spacing.spaced(steps, options, rounded=True), options)
        return Plan(grid, lambda denoiser: ChainDDPM(bound(denoiser), large))

    return Scheduler(name, options, process, _output(options), plan)


def _ddim(name: str, options: Mapping[str, Any], eta: float) -> Scheduler:
    process, _ = _table(options, bounded=False)
    bound, total = _bounded(options), options["num_train_timesteps"]
    last = 0.0 if options["set_alpha_to_one"] else 1 / total

    def plan(steps: int) -> Plan:
        grid = _entries(spacing.spaced(steps, options, rounded=True), options)
        stride = total // steps / total
        return Plan(grid, lambda d: StridedDDIM(bound(d), d, stride, last, eta))

    return Scheduler(name, options, process, _output(options), plan)


def _levels(process: VP, sigma: np.ndarray[Any, Any], options: Mapping[str, Any]) -> Tensor:
    """Levels sigma/alpha, and the end, as times; an end that repeats the last level is left out, for it moves nothing."""
    times = process.time(-2 * torch.from_numpy(np.ascontiguousarray(sigma)).log())
    low = 1 / options["num_train_timesteps"] if options.get("final_sigmas_type") == "sigma_min" else 0.0
    if float(times[-1]) <= low + 1e-12:
        return times
    return torch.cat([times, torch.tensor([low], dtype=torch.float64)])


def _form(options: Mapping[str, Any]) -> Literal["linear", "log"]:
    asked = any(options[k] for k in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"))
    return "log" if asked else "linear"


def _k_family(
    name: str, options: Mapping[str, Any], sampler: Callable[[Denoiser], Sampler[Tensor]], told: Told | None = None
) -> Scheduler:
    """Schedulers of k-diffusion's kind: fractional time steps, and transformations within their range."""
    full = {"use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False, **options}
    process, table = _table(options, _form(full))
    plain = _table(options)[1]
    told = told if told is not None else _output(options)

    def plan(steps: int) -> Plan:
        at = spacing.spaced(steps, options, rounded=False)
        times = _entries(at, options)[:-1]
        sigma = plain.ratio(times).numpy()
        if options.get("interpolation_type") == "log_linear":
            low, top = (
                float(plain.ratio(torch.tensor(1 / table.steps, dtype=torch.float64))),
                float(plain.ratio(torch.tensor(1.0, dtype=torch.float64))),
            )
            sigma = np.array([top, low])
        changed = spacing.transformed(float(sigma[0]), float(sigma[-1]), steps, full)
        grid = _levels(process, sigma if changed is None else changed, options)
        return Plan(grid, sampler)

    def start(t: float) -> float:
        # diffusers scales the first state of x/alpha by sigma_max, or by sqrt(sigma_max^2 + 1) for `leading`.
        leading = options["timestep_spacing"] == "leading"
        return 1.0 if leading else float(process.sigma(torch.tensor(t, dtype=torch.float64)))

    return Scheduler(name, options, process, told, plan, start)


def _euler(name: str, options: Mapping[str, Any]) -> Scheduler:
    if options["interpolation_type"] not in ("linear", "log_linear"):
        raise UsageError(f"interpolation_type must be 'linear' or 'log_linear', got {options['interpolation_type']!r}")
    if options["interpolation_type"] == "log_linear" and _form(options) == "linear":
        raise CapabilityError(f"{name}: log_linear is served together with Karras, exponential or beta sigmas only")
    told = None
    if options["timestep_type"] == "continuous" and options["prediction_type"] == "v_prediction":
        told = _output(options, "log")
    return _k_family(name, options, DDIM, told)


def _euler_ancestral(name: str, options: Mapping[str, Any]) -> Scheduler:
    # In x/alpha the step with sigma_up is DDIM's with eta = 1.
    return _k_family(name, options, lambda denoiser: DDIM(denoiser, eta=1.0))


def _heun(name: str, options: Mapping[str, Any]) -> Scheduler:
    bound = _bounded(options)
    return _k_family(name, options, lambda denoiser: EDMHeun(bound(denoiser)))


def _multistep(name: str, options: Mapping[str, Any]) -> Scheduler:
    served: dict[str, tuple[Any, ...]] = {
        "solver_order": (1, 2),
        "algorithm_type": ("dpmsolver++",),
        "solver_type": ("midpoint",),
        "use_lu_lambdas": (False,),
        "use_flow_sigmas": (False,),
        "variance_type": (None,),
        "use_dynamic_shifting": (False,),
    }
    _require(name, options, served)
    bound = _bounded(options)
    karras, other = options["use_karras_sigmas"], options["use_exponential_sigmas"] or options["use_beta_sigmas"]
    process, table = _table(options, _form(options))
    whole: Literal["exact", "round", "floor"] = "floor"
    if not other and not (karras and options["beta_schedule"] == "squaredcos_cap_v2"):
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
            sigma = table.ratio(_entries(at, options)[:-1]).numpy()
        grid = _levels(process, sigma, options)

        def sampler(denoiser: Denoiser) -> Sampler[Tensor]:
            return DDIM(bound(denoiser)) if options["solver_order"] == 1 else DPMSolverPP2M(bound(denoiser))

        return Plan(grid, sampler)

    top = None
    if whole == "floor":
        first = spacing.transformed(ends[0], ends[1], 10, options)
        assert first is not None
        top = first_told(betas(options), float(first[0]))
    return Scheduler(name, options, process, _output(options, whole, top), plan)


def _edm(name: str, options: Mapping[str, Any]) -> Scheduler:
    _require(name, options, {"prediction_type": ("epsilon",), "sigma_schedule": ("karras", "exponential")})
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


def _flow(name: str, options: Mapping[str, Any], mu: float | None) -> Scheduler:
    _require(name, options, {"invert_sigmas": (False,), "stochastic_sampling": (False,)})
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


_BUILDERS: dict[str, Callable[..., Scheduler]] = {
    "DDPMScheduler": _ddpm,
    "DDIMScheduler": _ddim,
    "EulerDiscreteScheduler": _euler,
    "EulerAncestralDiscreteScheduler": _euler_ancestral,
    "HeunDiscreteScheduler": _heun,
    "DPMSolverMultistepScheduler": _multistep,
    "EDMEulerScheduler": _edm,
    "FlowMatchEulerDiscreteScheduler": _flow,
}
