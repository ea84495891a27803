"""What trained systems of restoration share: a chain, a network that sees the picture it is told, and its training."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ornstein.codecs.base import Codec, Scale
from ornstein.core.conditions import ImageCondition
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Eps, Parametrization
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import UniformTimes
from ornstein.objectives.told import Telling, Told
from ornstein.objectives.weights import Weight, uniform
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class PicturedConfig(NetworkConfig):
    """The chain and how it is sampled. The level is continuous between the chain's steps, so any grid of times will do."""

    chain: int = 2000
    beta_1: float = 1e-6
    beta_T: float = 1e-2
    sampling_steps: int = 100
    guidance: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chain < 2 or self.sampling_steps < 1:
            raise UsageError(
                f"chain must be at least 2 and sampling_steps at least 1, got {self.chain} and {self.sampling_steps}"
            )
        if not 0 < self.beta_1 <= self.beta_T < 1:
            raise UsageError(f"betas need 0 < beta_1 <= beta_T < 1, got {self.beta_1} and {self.beta_T}")
        self.vp()

    def vp(self) -> VP:
        """The process; refused where signal would be left at its end."""
        betas = torch.linspace(self.beta_1, self.beta_T, self.chain, dtype=torch.float64, device="cpu")
        left = float((1 - betas).log().sum().exp())
        if left > 0.05:
            raise UsageError(
                f"a chain of {self.chain} with betas {self.beta_1:g} .. {self.beta_T:g} leaves {left:.0%} of the signal's power "
                "at its end, where sampling starts from noise; take larger betas or a longer chain"
            )
        return VP(Table(betas), t_min=1 / self.chain)


def pictured(
    c: PicturedConfig,
    recipe: str,
    told: Told,
    *,
    codec: Codec | None = None,
    parametrization: Parametrization | None = None,
    weight: Weight = uniform,
    clip: float | None = 1.0,
) -> System:
    """A system whose network sees ``told`` beside the noisy picture; eps and its plain loss unless said otherwise."""
    process = c.vp()
    network = c.network(further=(ImageCondition(told.name, told.shape[0]),))
    denoiser = Preconditioned(network, process, parametrization or Eps(), channels_last=True)
    codec = codec if codec is not None else Scale()

    def objective(system: System) -> Telling:
        denoiser.autocast = c.autocast
        times = UniformTimes(process.t_min, float(process.t_max))
        return Telling(Denoising(denoiser, system.codec, times, weight, c.cond_dropout), told)

    return System(
        recipe=recipe,
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("ancestral"),
        steps=c.sampling_steps,
        classes=c.classes,
        guidance=c.guidance,
        clip=clip,
        told=told,
        ema_half_life=c.ema_half_life,
    )
