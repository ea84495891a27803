"""The table of samplers, and the names by which other tools know them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

from torch import Tensor

from ornstein.core.errors import UsageError, suggest, unknown
from ornstein.denoisers.denoiser import Denoiser
from ornstein.samplers.adams import DEIS, LMS
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.base import DenoisingSampler
from ornstein.samplers.ddim import DDIM
from ornstein.samplers.dpm_single import DPMSolver2, DPMSolver3, DPMSolverPP2S
from ornstein.samplers.dpm_solver import DPMSolverPP2M
from ornstein.samplers.dpm_solver_3m import DPMSolverPP3M
from ornstein.samplers.euler import Euler
from ornstein.samplers.euler_maruyama import EulerMaruyama
from ornstein.samplers.flow_map import FlowMap
from ornstein.samplers.flow_sde import FlowSDE
from ornstein.samplers.grids import get_grid
from ornstein.samplers.heun import EDMHeun, Heun
from ornstein.samplers.pndm import IPNDM, PNDM
from ornstein.samplers.renoise import Renoise
from ornstein.samplers.runge_kutta import RK4, Midpoint
from ornstein.samplers.score_annealing import ScoreAnnealing
from ornstein.samplers.self_conditioned import SelfConditioned
from ornstein.samplers.unipc import UniPC

SAMPLERS: dict[str, type[DenoisingSampler]] = {
    "ancestral": Ancestral,
    "ddim": DDIM,
    "euler": Euler,
    "heun": Heun,
    "edm_heun": EDMHeun,
    "dpmpp_2m": DPMSolverPP2M,
    "euler_maruyama": EulerMaruyama,
    "midpoint": Midpoint,
    "rk4": RK4,
    "lms": LMS,
    "deis": DEIS,
    "pndm": PNDM,
    "ipndm": IPNDM,
    "dpm_solver_2": DPMSolver2,
    "dpm_solver_3": DPMSolver3,
    "dpmpp_2s": DPMSolverPP2S,
    "dpmpp_3m": DPMSolverPP3M,
    "unipc": UniPC,
    "flow_sde": FlowSDE,
}
"""One row per sampler; the order, statelessness and conformance tests follow from it."""

LEARNED: dict[str, type[DenoisingSampler]] = {
    "flow_map": FlowMap,
    "renoise": Renoise,
    "score_annealing": ScoreAnnealing,
    "self_conditioned": SelfConditioned,
}
"""Samplers for denoisers that were trained to be jumped with; on any other they converge to nothing, so orders say nothing."""

_ALIASES: dict[str, str] = {
    "ddpm": "ancestral",
    "ddpmscheduler": "ancestral",
    "ddimscheduler": "ddim",
    "dpm++ 2m": "dpmpp_2m",
    "dpmpp2m": "dpmpp_2m",
    "dpmsolver++ 2m": "dpmpp_2m",
    "dpmsolvermultistep": "dpmpp_2m",
    "dpmsolvermultistepscheduler": "dpmpp_2m",
    "edm": "edm_heun",
    "edm heun": "edm_heun",
    "heundiscretescheduler": "edm_heun",
    "flowmatcheulerdiscretescheduler": "euler",
    "em": "euler_maruyama",
    "euler maruyama": "euler_maruyama",
    "eulermaruyama": "euler_maruyama",
}


@dataclass(frozen=True)
class Choice:
    """A sampler by name, with its options and, where the name says so, its grid. Called on a denoiser, it builds it."""

    name: str
    grid: str | None = None
    options: tuple[tuple[str, Any], ...] = field(default=())

    @property
    def kind(self) -> type[DenoisingSampler]:
        """The sampler's class."""
        return {**SAMPLERS, **LEARNED}[self.name]

    def __call__(self, denoiser: Denoiser) -> DenoisingSampler:
        return self.kind(denoiser, **dict(self.options))

    def times(self, process: Any, steps: int, default: str = "uniform") -> Tensor:
        """The grid of this choice for a number of steps."""
        return get_grid(self.grid or default)(process, steps, None, None)


def names() -> list[str]:
    """The samplers' own names."""
    return list(SAMPLERS)


def get(name: str, *, grid: str | None = None, options: Mapping[str, Any] | None = None) -> Choice:
    """A sampler by our name or by the spelling of A1111, ComfyUI or diffusers: ``get("DPM++ 2M Karras")``.

    Raises:
        UsageError: the name, the grid or an option is unknown (the nearest known one is named).
    """
    key = re.sub(r"[\s_-]+", " ", name.strip().lower())
    if key.endswith(" karras"):
        key, grid = key.removesuffix(" karras"), grid or "karras"
    table = {**SAMPLERS, **LEARNED}
    known = {re.sub(r"_", " ", n): n for n in table} | _ALIASES
    if key not in known:
        raise unknown("sampler", name, table)
    if grid is not None:
        get_grid(grid)
    own = known[key]
    allowed = [p for p in signature(table[own].__init__).parameters if p not in ("self", "denoiser")]
    for option in options or {}:
        if option not in allowed:
            raise UsageError(f"sampler '{own}' has no option '{option}': {suggest(option, allowed)}")
    return Choice(own, grid, tuple(sorted((options or {}).items())))
