r"""Likelihood weighting (ScoreFlow): the score-matching loss whose weight g^2 makes it a bound on the likelihood.

-d log SNR/dt = g^2/sigma^2 on every Gaussian process, so drawing t with density proportional to g^2/sigma^2 is drawing the
log-SNR uniformly: the paper's cumulative function Z of each process and its bisection become one line. After that the loss is
plain |sigma score + eps|^2, times the range of log-SNR over two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import ScoreOut
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import UniformLogSNR, UniformTimes
from ornstein.objectives.weights import likelihood, uniform
from ornstein.processes.base import GaussianProcess
from ornstein.processes.gaussian import VP, SubVP
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class LikelihoodWeighting(NetworkConfig):
    """The process, the weight, and whether times are drawn so that the weight is in their density."""

    process: Literal["vp", "sub_vp"] = "vp"
    weighting: Literal["likelihood", "uniform"] = "likelihood"
    importance: bool = True
    """draw t in proportion to g^2/sigma^2 instead of multiplying by it"""
    t_min: float = 1e-5
    sampling_steps: int = 100
    guidance: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.t_min < 1:
            raise UsageError(f"t_min must lie in (0, 1): the weight is infinite at 0; got {self.t_min}")
        if self.importance and self.weighting == "uniform":
            raise UsageError(
                "importance sampling puts the likelihood weight into the times; it needs weighting='likelihood'"
            )
        if self.sampling_steps < 1:
            raise UsageError(f"sampling_steps must be at least 1, got {self.sampling_steps}")


@recipe(
    "likelihood-weighting",
    area="images",
    title="Maximum Likelihood Training of Score-Based Diffusion Models (Song et al. 2021)",
    paper="arxiv:2101.09258",
    claim="weighted by g^2, score matching bounds the likelihood; drawing t accordingly makes the loss quiet enough to use",
    equations="KL(p || p_theta) <= J + KL(p_T || pi), J = 1/2 int g^2 E|s_theta - grad log p_t|^2 dt; p(t) ~ g^2/sigma^2, or "
    "log-SNR uniform; loss |sigma s_theta + eps|^2",
    bibtex="@inproceedings{song2021maximum, title={Maximum Likelihood Training of Score-Based Diffusion Models}, "
    "author={Song, Yang and Durkan, Conor and Murray, Iain and Ermon, Stefano}, booktitle={NeurIPS}, year={2021}}",
)
def likelihood_weighting(c: LikelihoodWeighting = LikelihoodWeighting()) -> System:
    """The system trained for likelihood."""
    process: GaussianProcess = VP(t_min=c.t_min) if c.process == "vp" else SubVP(t_min=c.t_min)
    denoiser = Preconditioned(c.network(), process, ScoreOut(), channels_last=True)
    codec = Scale()

    def objective(system: System) -> Denoising:
        denoiser.autocast = c.autocast
        times = UniformLogSNR(process, c.t_min) if c.importance else UniformTimes(c.t_min)
        weight = likelihood if c.weighting == "likelihood" and not c.importance else uniform
        return Denoising(denoiser, codec, times, weight, cond_dropout=c.cond_dropout)

    return System(
        recipe="likelihood-weighting",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("heun"),
        steps=c.sampling_steps,
        grid="log_snr",
        classes=c.classes,
        guidance=c.guidance,
        ema_half_life=c.ema_half_life,
    )
