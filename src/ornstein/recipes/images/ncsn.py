r"""NCSN: one network for the scores of the data blurred by L levels of noise, sampled by annealed Langevin dynamics.

Images lie in [-1, 1] here and in [0, 1] in the paper: levels are twice the paper's. The paper's network is a RefineNet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Clocked, ScoreOut
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import ListedTimes
from ornstein.processes.gaussian import EDM
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class NCSN(NetworkConfig):
    """The levels and the moves at each."""

    sigma_max: float = 2.0
    sigma_min: float = 0.02
    levels: int = 10
    moves: int = 100
    """Langevin moves at each level"""
    step: float = 0.1
    """of a move, in units of sigma^2: half the paper's alpha_i/sigma_i^2, and the released code's step"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.sigma_min < self.sigma_max:
            raise UsageError(f"levels need 0 < sigma_min < sigma_max, got {self.sigma_min} and {self.sigma_max}")
        if self.levels < 2:
            raise UsageError(f"levels must be at least 2, got {self.levels}")
        if self.moves < 1 or not 0 < self.step < 1:
            raise UsageError(f"moves must be at least 1 and step in (0, 1), got {self.moves} and {self.step}")


@recipe(
    "ncsn",
    area="images",
    title="Generative Modeling by Estimating Gradients of the Data Distribution (Song & Ermon 2019)",
    paper="arxiv:1907.05600",
    claim="scores at many noise levels let Langevin dynamics find the right share of every mode, where plain dynamics cannot",
    equations="loss |sigma s_theta(x_0 + sigma eps, sigma) + eps|^2 over L geometric levels; at each level x <- x + h s + "
    "sqrt(2h) z, h = step sigma_i^2; last x + sigma_L^2 s",
    bibtex="@inproceedings{song2019ncsn, title={Generative Modeling by Estimating Gradients of the Data Distribution}, "
    "author={Song, Yang and Ermon, Stefano}, booktitle={NeurIPS}, year={2019}}",
)
def ncsn(c: NCSN = NCSN()) -> System:
    """The NCSN system."""
    process = EDM(c.sigma_min, c.sigma_max)
    clock = Clocked(ScoreOut(), -2 * math.log(c.sigma_max), -2 * math.log(c.sigma_min))
    denoiser = Preconditioned(c.network(), process, clock, channels_last=True)
    codec = Scale()
    ratio = (c.sigma_min / c.sigma_max) ** (1 / (c.levels - 1))
    times = ListedTimes(ratio ** torch.arange(c.levels, dtype=torch.float64, device="cpu"))

    def objective(system: System) -> Denoising:
        denoiser.autocast = c.autocast
        return Denoising(denoiser, codec, times, cond_dropout=c.cond_dropout)

    return System(
        recipe="ncsn",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("annealed_langevin", options={"step": c.step, "moves": c.moves}),
        steps=c.levels,
        grid="log_snr",
        classes=c.classes,
        ema_half_life=c.ema_half_life,
    )
