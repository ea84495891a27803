r"""NCSNv2: NCSN whose levels, moves and conditioning follow from an analysis, with averaged weights.

Technique 1: the first level is the largest distance between two training images (``largest_distance``). 2: neighbouring levels
overlap by half (``level_ratio``). 3: the network is not told the level, s(x, sigma) = s(x)/sigma. 4: as many moves as one can
afford, with the step for which the noise left over is sigma_i (``langevin_step``). 5: an average of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import ScoreOut
from ornstein.networks.unconditioned import Unconditioned
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import ListedTimes
from ornstein.processes.gaussian import EDM
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.annealed_langevin import langevin_step
from ornstein.samplers.noise_levels import level_count, level_ratio
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class NCSNv2(NetworkConfig):
    """The ends of the levels, and the moves at each; the rest follows."""

    sigma_max: float = 30.0
    """largest distance between two training images in [-1, 1]: about 1.5 x the root of the number of values for digits"""
    sigma_min: float = 0.02
    levels: int = 0
    """0: as many as technique 2 asks for"""
    moves: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.sigma_min < self.sigma_max:
            raise UsageError(f"levels need 0 < sigma_min < sigma_max, got {self.sigma_min} and {self.sigma_max}")
        if self.levels < 0 or self.levels == 1:
            raise UsageError(f"levels must be at least 2, or 0 to have them counted, got {self.levels}")
        if self.moves < 1:
            raise UsageError(f"moves must be at least 1, got {self.moves}")

    def count(self) -> int:
        """How many levels."""
        dims = self.channels * self.size**2
        return self.levels or level_count(self.sigma_max, self.sigma_min, level_ratio(dims))


@recipe(
    "ncsnv2",
    area="images",
    title="Improved Techniques for Training Score-Based Generative Models (Song & Ermon 2020)",
    paper="arxiv:2006.09011",
    claim="noise levels, moves and conditioning chosen by analysis make annealed Langevin dynamics work at any resolution",
    equations="sigma_1 = max |x_i - x_j|; Phi(sqrt(2D)(g - 1) + 3g) - Phi(sqrt(2D)(g - 1) - 3g) = 1/2; "
    "s(x, sigma) = s_theta(x)/sigma; step: argmin |noise left over/sigma_i^2 - 1|",
    bibtex="@inproceedings{song2020ncsnv2, title={Improved Techniques for Training Score-Based Generative Models}, "
    "author={Song, Yang and Ermon, Stefano}, booktitle={NeurIPS}, year={2020}}",
)
def ncsnv2(c: NCSNv2 = NCSNv2()) -> System:
    """The NCSNv2 system."""
    process = EDM(c.sigma_min, c.sigma_max)
    denoiser = Preconditioned(Unconditioned(c.network()), process, ScoreOut(), channels_last=True)
    codec = Scale()
    levels = c.count()
    ratio = (c.sigma_max / c.sigma_min) ** (1 / (levels - 1))
    times = ListedTimes(ratio ** -torch.arange(levels, dtype=torch.float64, device="cpu"))

    def objective(system: System) -> Denoising:
        denoiser.autocast = c.autocast
        return Denoising(denoiser, codec, times, cond_dropout=c.cond_dropout)

    return System(
        recipe="ncsnv2",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("annealed_langevin", options={"step": langevin_step(ratio, c.moves), "moves": c.moves}),
        steps=levels,
        grid="log_snr",
        classes=c.classes,
        ema_half_life=c.ema_half_life,
    )
