r"""Consistency training as it was improved: iCT, ECT and sCM under one roof, by ``mode``.

* ``ict``: no slow copy, the pseudo-Huber distance, weights 1/(sigma_hi - sigma_lo), a log-normal law of levels on a grid that
  doubles (Song & Dhariwal 2023).
* ``ect``: from a diffusion model, whose stage comes first; neighbours approach each other in stages (Geng et al. 2024).
* ``scm``: neighbours that coincide: the tangent in closed form, normalised, with a learned weight (Lu & Song 2024).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.core.loss import Objective
from ornstein.denoisers.consistency import ConsistencyScaling, TrigFlow
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import EDMScaling
from ornstein.objectives.consistency import Consistency, GridNeighbours, NearingNeighbours, doubling_levels
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.followers import Counter
from ornstein.objectives.times import LogNormalSigma
from ornstein.objectives.trig_consistency import LearnedWeight, TrigConsistency
from ornstein.processes.gaussian import EDM
from ornstein.recipes.images.common import NetworkConfig
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get
from ornstein.training.fit import Data, Stage, Update


@dataclass(frozen=True, kw_only=True)
class ConsistencyImproved(NetworkConfig):
    """The mode, and what each of them needs."""

    mode: Literal["ict", "ect", "scm"] = "ict"
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    sigma_data: float = 0.5
    data_std: float = 0.5
    """standard deviation of the training images in [-1, 1]; they are rescaled so that it becomes sigma_data"""
    first_levels: int = 10
    last_levels: int = 1280
    """of iCT's grid, which doubles in equal parts of the training"""
    p_mean: float = -1.1
    p_std: float = 2.0
    """of the law of ln sigma; the paper of sCM has -1 and 1.4"""
    stages: int = 8
    """of ECT: neighbours come closer by q in each"""
    q: float = 2.0
    first_steps: int = 4000
    """at most so many steps for ECT's diffusion model; the rest of ``steps`` is consistency training"""
    tangent_warmup: int = 10_000
    """steps over which sCM's unstable half of the tangent is phased in; at most a fifth of ``steps``"""
    precision: Literal["bf16", "fp32"] = "fp32"
    """differences of neighbours, and tangents, are small beside what bf16 resolves"""
    steps: int = 8000
    lr: float = 1e-3
    sampling_steps: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        doubling_levels(1, self.first_levels, self.last_levels)
        for name in ("stages", "first_steps", "tangent_warmup", "sampling_steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.q > 1:
            raise UsageError(f"q must exceed 1, got {self.q}")


@recipe(
    "consistency-improved",
    area="images",
    title="Improved Techniques for Training Consistency Models (Song & Dhariwal 2023), ECT (Geng et al. 2024), "
    "sCM (Lu & Song 2024)",
    paper="arxiv:2310.14189",
    claim="consistency functions trained without any teacher or slow copy sample in one or two evaluations as well as "
    "distilled ones; in continuous time their tangent is exact",
    equations="iCT: sqrt(|f(x_hi) - sg f(x_lo)|^2 + c^2)/(s_hi - s_lo); ECT: s_lo = s_hi (1 - q^-(stage+1) (1 + 8 "
    "sigmoid(-s_hi))); sCM: f = cos y - sin d F, g = cos df/dtau, |F - sg(F + g/(|g| + 0.1))|^2",
    bibtex="@inproceedings{song2024ict, title={Improved Techniques for Training Consistency Models}, author={Song, Yang and "
    "Dhariwal, Prafulla}, booktitle={ICLR}, year={2024}}",
)
def consistency_improved(c: ConsistencyImproved = ConsistencyImproved()) -> System:
    """The system of improved consistency training."""
    process = EDM(c.sigma_min, c.sigma_max)
    network = c.network(bandwidth=1.0)
    scaling = TrigFlow(c.sigma_data) if c.mode == "scm" else ConsistencyScaling(c.sigma_data, c.sigma_min)
    denoiser = Preconditioned(network, process, scaling, channels_last=True)
    codec, counter = Scale(c.sigma_data / c.data_std), Counter()
    weight = LearnedWeight()
    extra: dict[str, nn.Module] = {"counter": counter, **({"weight": weight} if c.mode == "scm" else {})}

    def stages(system: System, data: Data) -> Iterator[Stage]:
        denoiser.autocast = c.autocast
        params, spent = list(network.parameters()), 0
        if c.mode == "ect":
            spent = min(c.first_steps, c.steps // 2)
            diffusion = Preconditioned(network, process, EDMScaling(c.sigma_data), channels_last=True)
            diffusion.autocast = c.autocast
            denoising = Denoising(diffusion, codec, LogNormalSigma(process), cond_dropout=c.cond_dropout)
            yield Stage("diffusion", data, [Update(denoising, params, c.optimizer())], spent)
        left = c.steps - spent
        objective: Objective
        if c.mode == "scm":
            params += weight.parameters()
            warmup = max(1, min(c.tangent_warmup, c.steps // 5))
            objective = TrigConsistency(
                denoiser,
                codec,
                counter,
                weight,
                mean=c.p_mean,
                std=c.p_std,
                warmup=warmup,
                cond_dropout=c.cond_dropout,
            )
        else:
            neighbours = (
                NearingNeighbours(process, lambda k: c.stages * k // max(left, 1), c.p_mean, c.p_std, c.q)
                if c.mode == "ect"
                else GridNeighbours(process, doubling_levels(left, c.first_levels, c.last_levels), (c.p_mean, c.p_std))
            )
            objective = Consistency(
                denoiser,
                codec,
                neighbours,
                counter,
                distance="pseudo_huber",
                weight="inverse_gap",
                cond_dropout=c.cond_dropout,
            )
        yield Stage("consistency", data, [Update(objective, params, c.optimizer())], left)

    return System(
        recipe="consistency-improved",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=stages,
        sampler=get("renoise"),
        steps=c.sampling_steps,
        grid="even_karras",
        classes=c.classes,
        ema_half_life=c.ema_half_life,
        extra=extra,
    )
