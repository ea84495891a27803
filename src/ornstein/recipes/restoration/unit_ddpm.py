r"""UNIT-DDPM: translation between two domains from unpaired pictures, by two denoisers that are told of each other's states.

Two maps make a pseudo-partner of each picture, and both denoisers learn from these pairs; the maps learn to be good partners
and to undo each other. In use the source is noised in step with the target that is drawn. Differences from the paper: small
networks of another family, a learning rate for each, fewer steps when sampling.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from ornstein.codecs.base import Scale
from ornstein.codecs.side_by_side import SideBySide
from ornstein.core.conditions import ImageCondition
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.joint import OTHER, Joint
from ornstein.denoisers.parametrizations import Eps
from ornstein.networks.translator import Translator
from ornstein.objectives.times import DiscreteTimes
from ornstein.objectives.unpaired import Crossing, Paired
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.recipes.images.common import NetworkConfig
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.recipes.translation import Translation
from ornstein.samplers.table import get
from ornstein.training.fit import Data, Stage, Update


@dataclass(frozen=True, kw_only=True)
class UnitDDPM(NetworkConfig):
    """The chain, the release, and the two maps. The data's classes are the two domains."""

    chain: int = 1000
    beta_1: float = 1e-4
    beta_T: float = 0.02
    release: int = 1
    """of the chain's steps: so many at the end are made by both halves together"""
    cycle: float = 10.0
    """weight of |g_A(g_B(x)) - x| against the losses on eps"""
    translator_width: int = 32
    translator_halvings: int = 1
    translator_blocks: int = 3
    translator_lr: float = 3e-4
    sampling_steps: int = 100
    cond_dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes and len(self.classes) != 2:
            raise UsageError(f"translation is between two domains; the data have {len(self.classes)} classes")
        if self.chain < 2 or self.sampling_steps < 1:
            raise UsageError(
                f"chain must be at least 2 and sampling_steps at least 1, got {self.chain} and {self.sampling_steps}"
            )
        if not 0 <= self.release <= self.chain:
            raise UsageError(f"release must lie in 0 .. {self.chain} (the chain), got {self.release}")
        if not self.cycle >= 0:
            raise UsageError(f"cycle, a weight, must be at least 0, got {self.cycle}")
        if self.size % 2**self.translator_halvings:
            raise UsageError(
                f"a size of {self.size} cannot be halved {self.translator_halvings} times; set translator_halvings"
            )

    def vp(self) -> VP:
        """The process of both domains."""
        return VP(Table.linear(self.chain, self.beta_1, self.beta_T), t_min=1 / self.chain)

    def translator(self) -> Translator:
        """One of the two maps, untrained."""
        return Translator(self.channels, self.translator_width, self.translator_halvings, self.translator_blocks)


@recipe(
    "unit-ddpm",
    area="restoration",
    title="UNIT-DDPM: UNpaired Image Translation with Denoising Diffusion Probabilistic Models (Sasaki et al. 2021)",
    paper="arxiv:2104.05358",
    claim="two diffusion models trained jointly on unpaired pictures translate without an adversary, better than CycleGAN",
    equations="y = g(x); |eps - eps_A(x_t, y_t, t)|^2 + |eps - eps_B(y_t, x_t, t)|^2 + 10 |g'(g(x)) - x|_1; in use x_t ~ "
    "q(x_t | x) down to t_r, then both are denoised",
    bibtex="@article{sasaki2021unit, title={UNIT-DDPM: UNpaired Image Translation with Denoising Diffusion Probabilistic "
    "Models}, author={Sasaki, Hiroshi and Willcocks, Chris G. and Breckon, Toby P.}, journal={arXiv:2104.05358}, year={2021}}",
)
def unit_ddpm(c: UnitDDPM = UnitDDPM()) -> Translation:
    """The system: ``system.translated(pictures, to)``; samples are pairs, side by side."""
    process, plain = c.vp(), dataclasses.replace(c, classes=())
    denoisers = [
        Preconditioned(plain.network(further=(ImageCondition(OTHER, c.channels),)), process, Eps(), channels_last=True)
        for _ in range(2)
    ]
    across = nn.ModuleList([c.translator() for _ in range(2)])

    def training(system: System, data: Data) -> Iterator[Stage]:
        for denoiser in denoisers:
            denoiser.autocast = c.autocast
        parts = (denoisers, list(across), Scale(), DiscreteTimes(c.chain))
        weights = [p for denoiser in denoisers for p in denoiser.parameters()]
        maps = dataclasses.replace(c.optimizer(), lr=c.translator_lr)
        players = [
            Update(Paired(*parts), weights, c.optimizer()),
            Update(Crossing(*parts, cycle=c.cycle), list(across.parameters()), maps),
        ]
        yield Stage("denoiser", data, players, c.steps)

    domains = c.classes or ("A", "B")
    return Translation(
        recipe="unit-ddpm",
        config=c,
        codec=SideBySide(),
        denoiser=Joint(denoisers[0], denoisers[1]),
        shape=(2 * c.channels, c.size, c.size),
        data_shape=(c.channels, c.size, 2 * c.size),
        training=training,
        sampler=get("ancestral"),
        steps=c.sampling_steps,
        clip=1.0,
        ema_half_life=c.ema_half_life,
        extra={"across": across},
        domains=(domains[0], domains[1]),
        release=c.release / c.chain,
    )
