"""The solvers of diffusers and of k-diffusion on the problems of benchmarks/solvers.py."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import torch
from solver_problems import Problem
from torch import Tensor

from ornstein.processes import EDM

V = TypeVar("V")
Row = tuple[str, str, int, float]
"""solver, grid, budget, error"""
SCHEDULERS: dict[str, dict[str, Any]] = {
    "DDIMScheduler": {"clip_sample": False},
    "PNDMScheduler": {},
    "LMSDiscreteScheduler": {},
    "HeunDiscreteScheduler": {},
    "KDPM2DiscreteScheduler": {},
    "DEISMultistepScheduler": {"solver_order": 3},
    "DPMSolverSinglestepScheduler": {},
    "DPMSolverMultistepScheduler": {},
    "UniPCMultistepScheduler": {"solver_order": 3},
}
SPACINGS: tuple[dict[str, Any], ...] = (
    {"timestep_spacing": "linspace"},
    {"timestep_spacing": "trailing"},
    {"timestep_spacing": "linspace", "use_karras_sigmas": True},
)
EDM_SCHEDULERS: dict[str, dict[str, Any]] = {
    "EDMEulerScheduler": {},
    "EDMDPMSolverMultistepScheduler": {},
    "EDMDPMSolverMultistepScheduler order 3": {"solver_order": 3},
}
FEW = (
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "UniPCMultistepScheduler",
    "EDMDPMSolverMultistepScheduler",
    "EDMDPMSolverMultistepScheduler order 3",
    "heun",
    "lms",
    "dpmpp_2m",
    "dpmpp_3m_sde",
)
"""Those that are measured on the bundled model, whose evaluations cost: the best of both on the mixtures."""
STANDS_IN = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchdiffeq", "torchsde")
"""Modules that k-diffusion imports and its samplers measured here do not use: empty where they are missing."""


def largest(budget: int, calls: Callable[[int], int]) -> int:
    """The most steps that the budget pays for, 0 if it pays for none; calls grow with the steps."""
    return bisect_right(range(1, budget + 1), budget, key=calls)


def _some(solvers: dict[str, V], problem: Problem) -> dict[str, V]:
    return solvers if problem.name != "fashion-mnist" else {n: o for n, o in solvers.items() if n in FEW}


def diffusers(problem: Problem, budgets: tuple[int, ...]) -> Iterator[Row]:
    """Schedulers on the problem's levels as their table of betas; on the EDM process its own schedulers as well."""
    import diffusers

    levels = problem.levels()
    bar = 1 / (1 + levels**2)
    betas = (1 - bar / torch.cat([torch.ones(1, dtype=bar.dtype), bar[:-1]])).tolist()
    edm = isinstance(problem.process, EDM)
    for name, options in _some(SCHEDULERS, problem).items():
        kind = getattr(diffusers, name)
        for spacing in SPACINGS:
            if any(key not in inspect.signature(kind).parameters for key in spacing) or (
                edm and spacing == SPACINGS[0]
            ):
                continue
            scheduler = kind(trained_betas=np.array(betas), **options, **spacing)
            title = "karras" if "use_karras_sigmas" in spacing else spacing["timestep_spacing"]
            yield from _over_budgets(name, title, scheduler, problem, budgets, levels)
    if edm:
        for name, options in _some(EDM_SCHEDULERS, problem).items():
            for schedule in ("karras", "exponential"):
                top = float(levels[-1])
                scheduler = getattr(diffusers, name.split()[0])(
                    sigma_min=float(levels[0]), sigma_max=top, sigma_data=1.0, sigma_schedule=schedule, **options
                )
                yield from _over_budgets(name, schedule, scheduler, problem, budgets, None)


def _over_budgets(
    name: str, title: str, scheduler: Any, problem: Problem, budgets: tuple[int, ...], levels: Tensor | None
) -> Iterator[Row]:
    def calls(steps: int) -> int:
        try:
            scheduler.set_timesteps(steps)
        except (IndexError, ValueError):  # too few for this class
            return 0
        return len(scheduler.timesteps)

    for budget in budgets:
        steps = largest(budget, calls)
        if steps < 2:
            continue
        try:
            x = _in_vp(scheduler, steps, problem, levels) if levels is not None else _in_edm(scheduler, steps, problem)
        except (IndexError, ValueError):  # a class that fails at this number of steps has no row there
            continue
        yield name, title, budget, problem.error(x)


def _in_vp(scheduler: Any, steps: int, problem: Problem, levels: Tensor) -> Tensor:
    scheduler.set_timesteps(steps)
    p = problem.process
    x = problem.x / float(p.alpha(torch.tensor(p.t_max)) * (1 + levels[-1] ** 2).sqrt())
    x = x * scheduler.init_noise_sigma
    entries = np.arange(len(levels))
    for t in scheduler.timesteps:
        seen = scheduler.scale_model_input(x, t)
        level = float(np.exp(np.interp(float(t), entries, levels.log().numpy())))
        scale = (1 + level**2) ** 0.5
        mean = problem.denoise(seen * scale, torch.tensor(level))
        x = scheduler.step((seen * scale - mean) / level, t, x).prev_sample
    return x


def _in_edm(scheduler: Any, steps: int, problem: Problem) -> Tensor:
    """With sigma_data = 1 the network's output is (x_0 - c_skip x)/c_out."""
    scheduler.set_timesteps(steps)
    x = problem.x
    for i, t in enumerate(scheduler.timesteps):
        scheduler.scale_model_input(x, t)
        level = scheduler.sigmas[i].to(x)
        skip, out = 1 / (level**2 + 1), level / (level**2 + 1).sqrt()
        x = scheduler.step((problem.denoise(x, level) - skip * x) / out, t, x).prev_sample
    return x


def k_diffusion() -> Any | None:
    """k-diffusion's samplers, without the rest of the package; None where it is not installed."""
    if "k_diffusion.sampling" in sys.modules:
        return sys.modules["k_diffusion.sampling"]
    spec = importlib.util.find_spec("k_diffusion")
    if spec is None or spec.submodule_search_locations is None:
        return None
    missing = {name for name in STANDS_IN if "." not in name and importlib.util.find_spec(name) is None}
    for name in STANDS_IN:
        if name.split(".")[0] in missing and name not in sys.modules:
            stand_in = ModuleType(name)
            for member in ("odeint", "functional", "transforms"):
                setattr(stand_in, member, None)
            sys.modules[name] = stand_in
    package = ModuleType("k_diffusion")  # its __init__ imports every part, and their requirements
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["k_diffusion"] = package
    try:
        return importlib.import_module("k_diffusion.sampling")
    finally:
        for name in STANDS_IN:  # others ask whether they are installed
            if name.split(".")[0] in missing:
                del sys.modules[name]


def of_k_diffusion(problem: Problem, budgets: tuple[int, ...]) -> Iterator[Row]:
    """Its deterministic samplers, and the stochastic ones at eta = 0, on Karras, exponential and table sigmas."""
    k = k_diffusion()
    assert k is not None
    levels = problem.levels().to(problem.x)
    low, high = float(levels[0]), float(levels[-1])

    def table(n: int) -> Tensor:
        at = torch.linspace(len(levels) - 1, 0, n, dtype=torch.float64)
        i = at.long().clamp(max=len(levels) - 2)
        between = torch.lerp(levels.double().log()[i], levels.double().log()[i + 1], at - i)
        return k.append_zero(between.exp().to(levels))

    grids: dict[str, Callable[[int], Tensor]] = {
        "karras": lambda n: k.get_sigmas_karras(n, low, high).to(levels),
        "exponential": lambda n: k.get_sigmas_exponential(n, low, high).to(levels),
        "table": table,
    }
    quiet = {"disable": True}
    still = {**quiet, "eta": 0.0, "noise_sampler": lambda a, b: torch.zeros_like(problem.x)}
    solvers: dict[str, tuple[Any, dict[str, Any]]] = {
        "euler": (k.sample_euler, quiet),
        "heun": (k.sample_heun, quiet),
        "dpm_2": (k.sample_dpm_2, quiet),
        "lms": (k.sample_lms, quiet),
        "dpmpp_2s": (k.sample_dpmpp_2s_ancestral, still),
        "dpmpp_2m": (k.sample_dpmpp_2m, quiet),
        "dpmpp_2m_sde": (k.sample_dpmpp_2m_sde, still),
        "dpmpp_3m_sde": (k.sample_dpmpp_3m_sde, still),
    }
    y = problem.x / float(problem.process.alpha(torch.tensor(problem.process.t_max)))

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return problem.denoise(x, sigma)

    if problem.name == "fashion-mnist":
        del grids["table"]
    for name, (solver, options) in _some(solvers, problem).items():
        twice = name in ("heun", "dpm_2", "dpmpp_2s")  # but for the last step
        for title, grid in grids.items():
            for budget in budgets:
                steps = (budget + 1) // 2 if twice else budget
                yield name, title, budget, problem.error(solver(model, y, grid(steps), **options))
    for budget in budgets if problem.name != "fashion-mnist" else ():
        yield "dpm_fast", "its own", budget, problem.error(k.sample_dpm_fast(model, y, low, high, budget, **quiet))
