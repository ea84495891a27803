r"""Score-based generative modelling through SDEs: one continuous-time view of noising, with samplers for all.

``process`` is the SDE: VE (NCSN's limit), VP (DDPM's) or sub-VP. The same network serves the reverse SDE, with or without
Langevin correctors, and the probability flow. Inpainting and colourisation need no retraining: ``ornstein.samplers.replaced``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import ScoreOut
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import UniformTimes
from ornstein.processes.base import GaussianProcess
from ornstein.processes.gaussian import VE, VP, SubVP
from ornstein.processes.schedules import Linear
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get

SOLVERS = {
    "predictor_corrector": "predictor_corrector",
    "euler_maruyama": "euler_maruyama",
    "probability_flow": "heun",
}


@dataclass(frozen=True, kw_only=True)
class ScoreSDE(NetworkConfig):
    """The SDE, and how it is reversed."""

    process: Literal["ve", "vp", "sub_vp"] = "vp"
    sigma_min: float = 0.01
    """of VE"""
    sigma_max: float = 50.0
    beta_min: float = 0.1
    """of VP and sub-VP"""
    beta_max: float = 20.0
    t_min: float = 1e-3
    """where sampling stops (1e-5 for VE in the paper)"""
    solver: Literal["predictor_corrector", "euler_maruyama", "probability_flow"] = "predictor_corrector"
    sampling_steps: int = 200
    guidance: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.t_min < 1:
            raise UsageError(f"t_min must lie in (0, 1), got {self.t_min}")
        if self.sampling_steps < 1:
            raise UsageError(f"sampling_steps must be at least 1, got {self.sampling_steps}")
        self.sde()  # refuses a process that does not exist before anything is built

    def sde(self) -> GaussianProcess:
        """The forward process."""
        if self.process == "ve":
            return VE(self.sigma_min, self.sigma_max, self.t_min)
        if self.process == "vp":
            return VP(Linear(self.beta_min, self.beta_max), self.t_min)
        return SubVP(self.beta_min, self.beta_max, self.t_min)


@recipe(
    "score-sde",
    area="images",
    title="Score-Based Generative Modeling through Stochastic Differential Equations (Song et al. 2021)",
    paper="arxiv:2011.13456",
    claim="noising in continuous time gives reverse SDEs with correctors, an ODE with exact likelihood, and free conditioning",
    equations="dx = f dt + g dw; reverse dx = (f - g^2 s) dt + g dw; flow dx = (f - g^2 s/2) dt; loss |sigma s_theta + eps|^2; "
    "log p_0 = log p_1 + int div(f - g^2 s/2) dt",
    bibtex="@inproceedings{song2021sde, title={Score-Based Generative Modeling through Stochastic Differential Equations}, "
    "author={Song, Yang and Sohl-Dickstein, Jascha and Kingma, Diederik P. and Kumar, Abhishek and Ermon, Stefano and "
    "Poole, Ben}, booktitle={ICLR}, year={2021}}",
)
def score_sde(c: ScoreSDE = ScoreSDE()) -> System:
    """The score-SDE system."""
    process = c.sde()
    denoiser = Preconditioned(c.network(), process, ScoreOut(), channels_last=True)
    codec = Scale()

    def objective(system: System) -> Denoising:
        denoiser.autocast = c.autocast
        return Denoising(denoiser, codec, UniformTimes(1e-5), cond_dropout=c.cond_dropout)

    return System(
        recipe="score-sde",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get(SOLVERS[c.solver]),
        steps=c.sampling_steps,
        grid="uniform",
        classes=c.classes,
        guidance=c.guidance,
        ema_half_life=c.ema_half_life,
    )
