r"""Improved DDPM: DDPM with a cosine schedule, learned reverse variances and the hybrid loss; sampled along a stride.

The network gives two numbers per value: the noise, and where between beta~ and beta (on a log scale) the reverse variance
lies. The fraction is trained by the variational bound, with the mean held fixed, and reused between the bounds of longer
steps. ``loss="vlb"`` trains everything by the bound, with steps drawn by the second moment of their losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Eps, LearnedRange
from ornstein.objectives.hybrid import Hybrid
from ornstein.objectives.second_moment import LossSecondMoment
from ornstein.objectives.times import DiscreteTimes
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class ImprovedDDPM(NetworkConfig):
    """The chain, its schedule, and which bound trains the variance."""

    chain: int = 1000
    """T; the paper's is 4000 on CIFAR-10"""
    schedule: Literal["cosine", "linear"] = "cosine"
    loss: Literal["hybrid", "vlb"] = "hybrid"
    vlb_weight: float = 0.001
    """of the bound (in bits per dimension) beside the simple loss"""
    resample: bool = False
    """draw steps by the second moment of their losses; meant for ``loss="vlb"``"""
    sampling_steps: int = 100
    guidance: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chain < 2:
            raise UsageError(f"chain must be at least 2, got {self.chain}")
        if not 1 <= self.sampling_steps <= self.chain:
            raise UsageError(f"sampling_steps must lie in 1 .. {self.chain} (the chain), got {self.sampling_steps}")
        if not self.vlb_weight > 0:
            raise UsageError(f"vlb_weight must be positive, or the variance is never trained; got {self.vlb_weight}")

    def table(self) -> Table:
        """The betas."""
        return Table.cosine(self.chain) if self.schedule == "cosine" else Table.linear(self.chain)


@recipe(
    "improved-ddpm",
    area="images",
    title="Improved Denoising Diffusion Probabilistic Models (Nichol & Dhariwal 2021)",
    paper="arxiv:2102.09672",
    claim="learned variances, a cosine schedule and a hybrid loss give better likelihood and good samples in few steps",
    equations="log var = f log beta + (1 - f) log beta~, f = (out_2 + 1)/2; loss |eps - eps_theta|^2 + 0.001 L_vlb with the "
    "mean held fixed in L_vlb; alpha_t^2 = cos^2(pi/2 (t + s)/(1 + s)); p(t) ~ sqrt(E[L_t^2])",
    bibtex="@inproceedings{nichol2021improved, title={Improved Denoising Diffusion Probabilistic Models}, "
    "author={Nichol, Alex and Dhariwal, Prafulla}, booktitle={ICML}, year={2021}}",
)
def improved_ddpm(c: ImprovedDDPM = ImprovedDDPM()) -> System:
    """The improved-DDPM system."""
    process = VP(c.table(), t_min=1 / c.chain)
    denoiser = Preconditioned(c.network(outputs=2), process, LearnedRange(Eps(), c.chain), channels_last=True)
    codec = Scale()
    times: DiscreteTimes | LossSecondMoment = DiscreteTimes(c.chain)
    if c.resample:
        times = LossSecondMoment(c.chain)

    def objective(system: System) -> Hybrid:
        denoiser.autocast = c.autocast
        simple, vlb = (1.0, c.vlb_weight) if c.loss == "hybrid" else (0.0, 1.0)
        return Hybrid(denoiser, codec, times, simple=simple, vlb=vlb, cond_dropout=c.cond_dropout)

    return System(
        recipe="improved-ddpm",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("ancestral", options={"variance": "range"}),
        steps=c.sampling_steps,
        grid="uniform",
        classes=c.classes,
        guidance=c.guidance,
        clip=1.0,
        ema_half_life=c.ema_half_life,
        # The history is saved, so that a resumed run goes on with the same law.
        extra={"loss_history": times} if isinstance(times, LossSecondMoment) else {},
    )
