r"""Few-shot diffusion: pictures of a class that training never saw, told by a handful of examples and by nothing else.

Training shows each picture beside others of its class, never itself, one to ``members`` of them; an encoder of sets makes a
vector (or tokens) of these. Differences from the paper: a small U-Net of another family, patches averaged over the set (the
variant that no order of the examples changes) with two layers before the mean, no time in the encoder, the deterministic c.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ornstein.codecs.base import Scale
from ornstein.core.errors import DataError, UsageError
from ornstein.data import Loader
from ornstein.data.companions import Companions
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Eps
from ornstein.networks.layers.conditioning import TextCondition, VectorCondition
from ornstein.networks.sets import Exemplified, SetEncoder
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import DiscreteTimes
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.recipes.few_shot import NAME, FewShot
from ornstein.recipes.images.common import NetworkConfig
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get
from ornstein.training.fit import Data, Stage, Update

CODE = "code"
"""Of what the network sees of the set."""


@dataclass(frozen=True, kw_only=True)
class FSDM(NetworkConfig):
    """The sets, their encoder and the chain. Classes are told by examples only."""

    members: int = 5
    """the largest set in training; larger ones may be given when sampling"""
    conditioning: Literal["vector", "tokens"] = "vector"
    """how the network sees the set: modulated by one vector, or by attention to tokens"""
    code_width: int = 64
    code_patch: int = 4
    code_depth: int = 2
    code_head: int = 32
    chain: int = 1000
    beta_1: float = 1e-4
    beta_T: float = 0.02
    sampling_steps: int = 100
    guidance: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chain < 2:
            raise UsageError(f"chain must be at least 2, got {self.chain}")
        if not 1 <= self.sampling_steps <= self.chain:
            raise UsageError(f"sampling_steps must lie in 1 .. {self.chain} (the chain), got {self.sampling_steps}")
        if self.members < 1 or self.code_depth < 1:
            raise UsageError(f"members and code_depth must be at least 1, got {self.members} and {self.code_depth}")
        if self.code_patch < 1 or self.size % self.code_patch:
            raise UsageError(
                f"pictures of {self.size} x {self.size} are not a multiple of code_patch ({self.code_patch}): choose another"
            )

    def encoder(self) -> SetEncoder:
        """Of sets, untrained."""
        return SetEncoder(
            channels=self.channels,
            size=self.size,
            width=self.code_width,
            patch=self.code_patch,
            depth=self.code_depth,
            head=self.code_head,
        )

    def told(self) -> Exemplified:
        """The network with its encoder, untrained."""
        condition = VectorCondition if self.conditioning == "vector" else TextCondition
        blind = dataclasses.replace(self, classes=(), caption_width=0)
        network = blind.network(further=(condition(CODE, self.code_width),))
        return Exemplified(network, self.encoder(), NAME, CODE, tokens=self.conditioning == "tokens")


@recipe(
    "fsdm",
    area="images",
    title="Few-Shot Diffusion Models (Giannone et al. 2022)",
    paper="arxiv:2205.15463",
    claim="a denoiser that is told a set of a few pictures of an unseen class draws from that class without being tuned",
    equations="E |eps - eps_theta(x_t^i, t, c)|^2, c = h(X without x^i); h: transformer([cls; mean_k f(patches of x^k)])",
    bibtex="@article{giannone2022few, title={Few-Shot Diffusion Models}, author={Giannone, Giorgio and Nielsen, Didrik and "
    "Winther, Ole}, journal={arXiv:2205.15463}, year={2022}}",
)
def fsdm(c: FSDM = FSDM()) -> System:
    """The few-shot system: ``system.sample(n, set=examples)``."""
    process = VP(Table.linear(c.chain, c.beta_1, c.beta_T), t_min=1 / c.chain)
    denoiser = Preconditioned(c.told(), process, Eps(), channels_last=True)
    codec = Scale()

    def training(system: System, data: Data) -> Iterator[Stage]:
        if not isinstance(data, Loader):
            raise DataError(
                "few-shot training looks up others of a class, which a stream of shards cannot; give a table"
            )
        denoiser.autocast = c.autocast
        objective = Denoising(denoiser, codec, DiscreteTimes(c.chain), cond_dropout=c.cond_dropout)
        update = Update(objective, list(denoiser.parameters()), c.optimizer())
        yield Stage("denoiser", Companions(data, c.members, NAME), [update], c.steps)

    return FewShot(
        recipe="fsdm",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=training,
        sampler=get("ancestral"),
        steps=c.sampling_steps,
        guidance=c.guidance,
        clip=1.0,
        ema_half_life=c.ema_half_life,
    )
