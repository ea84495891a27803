r"""SRDiff: super-resolution by diffusion of the residual between a picture and its interpolation, on a short chain.

Two stages: an encoder of small pictures learns to enlarge them by itself (L1), then the denoiser is told its features, and the
encoder rests. Differences from the paper: the squared loss on eps, features beside the noisy picture and not after the first
level, a small network of another family.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.codecs.residual import Residual
from ornstein.core.batch import Batch
from ornstein.core.conditions import ImageCondition
from ornstein.core.enlarge import enlarged
from ornstein.core.errors import UsageError
from ornstein.core.loss import Loss
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Random
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.measurements import bicubic
from ornstein.networks.rrdb import Encoded, RRDBEncoder
from ornstein.objectives.told import Telling, Told
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.recipes.registry import recipe
from ornstein.recipes.restoration.pictured import PicturedConfig, pictured
from ornstein.recipes.restoration.reduced import reduced
from ornstein.recipes.system import System
from ornstein.training.fit import Data, Stage, Update

NAME, FEATURES = "small", "features"
"""Of the condition, and of what the network sees of it."""


@dataclass(frozen=True, kw_only=True)
class SRDiff(PicturedConfig):
    """The chain (a cosine one: its betas are not read), the residual and the encoder."""

    scale: int = 4
    chain: int = 100
    factor: float = 2.0
    """of the residual; what exceeds 1/factor is cut off"""
    encoder_width: int = 32
    encoder_blocks: int = 8
    encoder_steps: int = 10_000
    """at most a third of all"""
    feature_width: int = 32
    cond_dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        reduced(self.shape, self.scale)
        if not self.factor > 0:
            raise UsageError(f"factor must be positive, got {self.factor}")
        if self.encoder_steps < 1 or self.feature_width < 1:
            raise UsageError(
                f"encoder_steps and feature_width must be at least 1, got {self.encoder_steps} and {self.feature_width}"
            )

    def vp(self) -> VP:
        return VP(Table.cosine(self.chain), t_min=1 / self.chain)

    def told(self) -> Told:
        """The reduced picture itself."""
        operator, clean = bicubic(self.shape, self.scale), reduced(self.shape, self.scale)

        def of_measurement(given: Measurement) -> Tensor:
            clean.of_measurement(given)  # refuses what training never met
            found = given.y.float().clamp(-1, 1)
            return found

        shape = (self.channels, self.size // self.scale, self.size // self.scale)
        return Told(NAME, shape, lambda x, rng: operator(x).clamp(-1, 1), of_measurement)


@final
class Enlarging:
    """|x - up(y) - encoder(y)|, by which the encoder learns its features."""

    def __init__(self, encoder: RRDBEncoder, size: int):
        self.encoder, self.size = encoder, size

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        x, small = batch.x.float() / 127.5 - 1 if batch.x.dtype == torch.uint8 else batch.x, batch.cond[NAME]
        return Loss(F.l1_loss(self.encoder(small), x - enlarged(small, (self.size, self.size))))


@recipe(
    "srdiff",
    area="restoration",
    title="SRDiff: Single Image Super-Resolution with Diffusion Probabilistic Models (Li et al. 2021)",
    paper="arxiv:2104.14951",
    claim="diffusing the residual of an interpolation, told by an encoder's features, needs little training and short chains",
    equations="x_0 = clip(2 (HR - up(LR)), -1, 1); |eps - eps_theta(x_t, t, c(LR))|^2; HR = up(LR) + x_0/2; cosine chain, T = "
    "100",
    bibtex="@article{li2022srdiff, title={SRDiff: Single Image Super-Resolution with Diffusion Probabilistic Models}, "
    "author={Li, Haoying and Yang, Yifan and Chang, Meng and Chen, Shiqi and Feng, Huajun and Xu, Zhihai and Li, Qi and Chen, "
    "Yueting}, journal={Neurocomputing}, year={2022}}",
)
def srdiff(c: SRDiff = SRDiff()) -> System:
    """The SRDiff system: ``system.sample(n, small=picture)`` or ``ornstein.restore`` of a bicubic reduction."""
    told = c.told()
    plain = pictured(c, "srdiff", told, codec=Residual(NAME, (c.size, c.size), c.factor))
    denoiser = plain.denoiser
    assert isinstance(denoiser, Preconditioned)
    encoder = RRDBEncoder(c.channels, c.scale, c.encoder_width, c.encoder_blocks)
    network = c.network(further=(ImageCondition(FEATURES, c.feature_width),))
    denoiser.network = Encoded(network, encoder, c.feature_width, NAME, FEATURES)

    def training(system: System, data: Data) -> Iterator[Stage]:
        steps = min(c.encoder_steps, max(1, c.steps // 3))
        objective = Telling(Enlarging(encoder, c.size), told)
        yield Stage("encoder", data, [Update(objective, list(encoder.parameters()), c.optimizer())], steps)
        (stage,) = plain.training(system, data)
        mine = {id(p) for p in encoder.parameters()}
        (update,) = stage.updates
        others = [p for p in update.params if id(p) not in mine]
        yield dataclasses.replace(
            stage, updates=[dataclasses.replace(update, params=others)], steps=max(1, c.steps - steps)
        )

    return dataclasses.replace(plain, training=training)
