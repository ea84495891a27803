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
from ornstein.samplers.adaptive_rk import AdaptiveRK
from ornstein.samplers.adaptive_sde import AdaptiveSDE
from ornstein.samplers.analytic_dpm import AnalyticDPM
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.ancestral_second_order import DPM2Ancestral, DPMPP2SAncestral
from ornstein.samplers.annealed_langevin import AnnealedLangevin
from ornstein.samplers.autoregressive import Autoregressive
from ornstein.samplers.base import DenoisingSampler
from ornstein.samplers.box_renewal import BoxRenewal
from ornstein.samplers.consistent_annealed import ConsistentAnnealed
from ornstein.samplers.ddim import DDIM
from ornstein.samplers.ddim_inversion import DDIMInversion
from ornstein.samplers.dpm_adaptive import DPMAdaptive
from ornstein.samplers.dpm_sde import DPMPP2MSDE, DPMPP3MSDE, DPMPPSDE
from ornstein.samplers.dpm_single import DPMSolver2, DPMSolver3, DPMSolverPP2S
from ornstein.samplers.dpm_solver import DPMSolverPP2M
from ornstein.samplers.dpm_solver_3m import DPMSolverPP3M
from ornstein.samplers.euler import Euler
from ornstein.samplers.euler_maruyama import EulerMaruyama
from ornstein.samplers.first_hitting import FirstHitting
from ornstein.samplers.flow_map import FlowMap
from ornstein.samplers.flow_sde import FlowSDE
from ornstein.samplers.gddim import GDDIM
from ornstein.samplers.grids import get_grid
from ornstein.samplers.heun import EDMHeun, Heun
from ornstein.samplers.paradigms import ParaDiGMS
from ornstein.samplers.pds import PDS
from ornstein.samplers.pndm import IPNDM, PNDM
from ornstein.samplers.predictor_corrector import PredictorCorrector
from ornstein.samplers.renoise import Renoise
from ornstein.samplers.restart import Restart
from ornstein.samplers.reverse_diffusion import ReverseDiffusion
from ornstein.samplers.runge_kutta import RK4, Midpoint
from ornstein.samplers.sa_solver import SASolver
from ornstein.samplers.score_annealing import ScoreAnnealing
from ornstein.samplers.self_conditioned import SelfConditioned
from ornstein.samplers.sscs import SSCS
from ornstein.samplers.tcd import TCD
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
    "adaptive_rk": AdaptiveRK,
    "dpm_adaptive": DPMAdaptive,
    "paradigms": ParaDiGMS,
    "reverse_diffusion": ReverseDiffusion,
    "predictor_corrector": PredictorCorrector,
    "annealed_langevin": AnnealedLangevin,
    "consistent_annealed": ConsistentAnnealed,
    "dpmpp_2s_ancestral": DPMPP2SAncestral,
    "dpm_2_ancestral": DPM2Ancestral,
    "dpmpp_sde": DPMPPSDE,
    "dpmpp_2m_sde": DPMPP2MSDE,
    "dpmpp_3m_sde": DPMPP3MSDE,
    "sa_solver": SASolver,
    "restart": Restart,
    "adaptive_sde": AdaptiveSDE,
    "analytic_dpm": AnalyticDPM,
    "pds": PDS,
    "sscs": SSCS,
    "gddim": GDDIM,
    "first_hitting": FirstHitting,
}
"""One row per sampler; the order, statelessness and conformance tests follow from it."""

ASCENDING: dict[str, type[DenoisingSampler]] = {"ddim_inversion": DDIMInversion}
"""Those that go from data to noise: found by name, but no way to draw samples."""

LEARNED: dict[str, type[DenoisingSampler]] = {
    "autoregressive": Autoregressive,
    "box_renewal": BoxRenewal,
    "flow_map": FlowMap,
    "renoise": Renoise,
    "score_annealing": ScoreAnnealing,
    "self_conditioned": SelfConditioned,
    "tcd": TCD,
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
    "ddim inverse": "ddim_inversion",
    "ddiminversescheduler": "ddim_inversion",
    "sample euler": "ddim",
    "k euler": "ddim",
    "eulerdiscretescheduler": "ddim",
    "edmeulerscheduler": "ddim",
    "dpm solver 1": "ddim",
    "sample heun": "edm_heun",
    "k heun": "edm_heun",
    "pndmscheduler": "pndm",
    "ipndmscheduler": "ipndm",
    "ipndm v": "lms",
    "lmsdiscretescheduler": "lms",
    "k lms": "lms",
    "sample lms": "lms",
    "dpm2": "dpm_solver_2",
    "dpm 2": "dpm_solver_2",
    "k dpm 2": "dpm_solver_2",
    "sample dpm 2": "dpm_solver_2",
    "kdpm2": "dpm_solver_2",
    "kdpm2discretescheduler": "dpm_solver_2",
    "dpm fast": "dpm_solver_3",
    "dpm++ 2s": "dpmpp_2s",
    "dpmsolver++ 2s": "dpmpp_2s",
    "dpmsolversinglestep": "dpmpp_2s",
    "dpmsolversinglestepscheduler": "dpmpp_2s",
    "dpm++ 3m": "dpmpp_3m",
    "dpmsolver++ 3m": "dpmpp_3m",
    "dpm adaptive": "dpm_adaptive",
    "sample dpm adaptive": "dpm_adaptive",
    "uni pc": "unipc",
    "unipcmultistepscheduler": "unipc",
    "sample dpmpp 2m": "dpmpp_2m",
    "edmdpmsolvermultistepscheduler": "dpmpp_2m",
    "rk45": "adaptive_rk",
    "dopri5": "adaptive_rk",
    "deismultistepscheduler": "deis",
    "ddimparallelscheduler": "paradigms",
    "tcdscheduler": "tcd",
    "dpm++ sde": "dpmpp_sde",
    "dpmpp sde gpu": "dpmpp_sde",
    "dpmsolversdescheduler": "dpmpp_sde",
    "dpm++ 2m sde": "dpmpp_2m_sde",
    "dpmpp 2m sde gpu": "dpmpp_2m_sde",
    "sde dpmsolver++": "dpmpp_2m_sde",
    "dpm++ 3m sde": "dpmpp_3m_sde",
    "dpmpp 3m sde gpu": "dpmpp_3m_sde",
    "dpm++ 2s a": "dpmpp_2s_ancestral",
    "dpm++ 2s ancestral": "dpmpp_2s_ancestral",
    "dpm2 a": "dpm_2_ancestral",
    "dpm2 ancestral": "dpm_2_ancestral",
    "kdpm2ancestraldiscretescheduler": "dpm_2_ancestral",
    "sasolverscheduler": "sa_solver",
    "scoresdevescheduler": "predictor_corrector",
    "pc": "predictor_corrector",
    "ncsn": "annealed_langevin",
    "ncsnv2": "annealed_langevin",
    "ald": "annealed_langevin",
    "consistency": "renoise",
    "cmstochasticiterativescheduler": "renoise",
    "cas": "consistent_annealed",
    "gotta go fast": "adaptive_sde",
    "analytic ddpm": "analytic_dpm",
    "sn ddpm": "analytic_dpm",
    "npr ddpm": "analytic_dpm",
    "preconditioned diffusion sampling": "pds",
}

_WITH_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "analytic ddim": ("analytic_dpm", {"eta": 0.0}),
    "sn ddim": ("analytic_dpm", {"eta": 0.0}),
    "npr ddim": ("analytic_dpm", {"eta": 0.0}),
    "lcm": ("tcd", {"gamma": 1.0}),
    "lcmscheduler": ("tcd", {"gamma": 1.0}),
    "plms": ("pndm", {"start": "heun"}),
    "uni pc bh1": ("unipc", {"variant": "bh1"}),
    "uni pc bh2": ("unipc", {"variant": "bh2"}),
    "deis tab": ("deis", {"variant": "tab"}),
    "deis rhoab": ("deis", {"variant": "rhoab"}),
    "euler a": ("ddim", {"eta": 1.0}),
    "euler ancestral": ("ddim", {"eta": 1.0}),
    "eulerancestraldiscretescheduler": ("ddim", {"eta": 1.0}),
    "dpm++ 2m sde heun": ("dpmpp_2m_sde", {"solver": "heun"}),
    "dpmpp 2m sde heun": ("dpmpp_2m_sde", {"solver": "heun"}),
}
"""Spellings that say more than the method."""

_GRID_SUFFIXES = {
    " karras": "karras",
    " exponential": "exponential",
    " beta": "beta",
    " sgm uniform": "sgm_uniform",
    " kl optimal": "kl_optimal",
    " align your steps": "align_your_steps",
    " ays": "align_your_steps",
}
"""What A1111 and ComfyUI say after a sampler's name."""


@dataclass(frozen=True)
class Choice:
    """A sampler by name, with its options and, where the name says so, its grid. Called on a denoiser, it builds it."""

    name: str
    grid: str | None = None
    options: tuple[tuple[str, Any], ...] = field(default=())

    @property
    def kind(self) -> type[DenoisingSampler]:
        """The sampler's class."""
        return (SAMPLERS | ASCENDING | LEARNED)[self.name]

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
    for suffix, its_grid in _GRID_SUFFIXES.items():
        if key.endswith(suffix):
            key, grid = key.removesuffix(suffix), grid or its_grid
    kinds = SAMPLERS | ASCENDING | LEARNED
    known = {re.sub(r"_", " ", n): n for n in kinds} | _ALIASES
    own, preset = _WITH_OPTIONS.get(key, (known.get(key), {}))
    if own is None:
        raise unknown("sampler", name, kinds)
    if grid is not None:
        get_grid(grid)
    options = preset | dict(options or {})
    allowed = [p for p in signature(kinds[own].__init__).parameters if p not in ("self", "denoiser")]
    for option in options:
        if option not in allowed:
            raise UsageError(f"sampler '{own}' has no option '{option}': {suggest(option, allowed)}")
    return Choice(own, grid, tuple(sorted(options.items())))
