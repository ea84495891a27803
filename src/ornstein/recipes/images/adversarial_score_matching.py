r"""Adversarial score matching: NCSNv2 whose denoised images must also deceive a discriminator; consistent annealed sampling.

Levels, conditioning and averaging are NCSNv2's. Each batch moves two players: the discriminator on data and denoised images, the
network on the regression and on the discriminator's opinion. One network call at each level when sampling, and the last call
denoises.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.networks.discriminator import Discriminator
from ornstein.objectives.adversarial_score import AdversarialScore, ScoreAdversary
from ornstein.objectives.times import ListedTimes
from ornstein.recipes.images.ncsnv2 import NCSNv2, ncsnv2
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get
from ornstein.training.fit import Data, Stage, Update
from ornstein.training.optim import OptimizerSpec


@dataclass(frozen=True, kw_only=True)
class AdversarialScoreMatching(NCSNv2):
    """NCSNv2's fields, the discriminator, and the sampler's step."""

    moves: int = 1
    """at each level; consistent annealed sampling makes one, and more levels take the place of more moves"""
    weight: float = 1.0
    """of the adversary in the network's loss; 0 is score matching alone"""
    discriminator: tuple[int, ...] = (32, 64, 128)
    """channels after each halving of the image"""
    discriminator_lr: float = 2e-4
    scale: float = 1.55
    """eta of the sampler is scale (1 - gamma); 1.55 is the paper's on CIFAR-10, 1 adds no noise"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.moves != 1:
            raise UsageError(
                f"consistent annealed sampling makes one move at each level; set levels, not moves={self.moves}"
            )
        if self.weight < 0:
            raise UsageError(f"weight must be at least 0, got {self.weight}")
        if not self.discriminator or min(self.discriminator) < 1 or not self.discriminator_lr > 0:
            raise UsageError(
                f"the discriminator needs positive widths and rate, got {self.discriminator} and {self.discriminator_lr}"
            )
        if self.scale < 1:
            raise UsageError(
                f"scale must be at least 1: a smaller step does not reach the next level; got {self.scale}"
            )

    def times(self) -> ListedTimes:
        """The times at which the noise has NCSNv2's levels, from the noisiest down."""
        count = self.count()
        ratio = (self.sigma_max / self.sigma_min) ** (1 / (count - 1))
        return ListedTimes(ratio ** -torch.arange(count, dtype=torch.float64, device="cpu"))

    def halvings(self) -> tuple[int, ...]:
        """The discriminator's widths, as many as the image's size allows."""
        return self.discriminator[: max(1, self.size.bit_length() - 1)]


@recipe(
    "adversarial-score-matching",
    area="images",
    title="Adversarial Score Matching and Improved Sampling for Image Generation (Jolicoeur-Martineau et al. 2020)",
    paper="arxiv:2009.05475",
    claim="denoise the last sample, keep the noise on its schedule, and let an adversary judge the denoised images",
    equations="H = x + sigma^2 s; loss |sigma s + z|^2/2 + (D(H) - 1)^2; D: (D(x) - 1)^2 + (D(H) + 1)^2; "
    "x <- x + eta sigma_i^2 s + beta sigma_{i+1} z, beta = sqrt(1 - ((1 - eta)/gamma)^2)",
    bibtex="@inproceedings{jolicoeur2021adversarial, title={Adversarial score matching and improved sampling for image "
    "generation}, author={Jolicoeur-Martineau, Alexia and Pich{\\'e}-Taillefer, R{\\'e}mi and Tachet des Combes, R{\\'e}mi and "
    "Mitliagkas, Ioannis}, booktitle={ICLR}, year={2021}}",
)
def adversarial_score_matching(c: AdversarialScoreMatching = AdversarialScoreMatching()) -> System:
    """The adversarial score matching system."""
    plain = ncsnv2(c)
    denoiser = plain.denoiser
    assert isinstance(denoiser, Preconditioned)
    discriminator = Discriminator(channels=c.channels, widths=c.halvings())
    times = c.times()

    def training(system: System, data: Data) -> Iterator[Stage]:
        denoiser.autocast = c.autocast
        spec = c.optimizer()
        player = AdversarialScore(
            denoiser, discriminator, system.codec, times, weight=c.weight, cond_dropout=c.cond_dropout
        )
        updates = [Update(player, list(denoiser.parameters()), dataclasses.replace(spec, betas=(0.0, 0.9)))]
        if c.weight:
            adversary = ScoreAdversary(denoiser, discriminator, system.codec, times, cond_dropout=c.cond_dropout)
            # The paper's first beta is -0.5; AdamW takes none below 0.
            rate = OptimizerSpec(lr=c.discriminator_lr, betas=(0.0, 0.9), clip=c.clip or None)
            updates.insert(0, Update(adversary, list(discriminator.parameters()), rate))
        yield Stage("score", data, updates, c.steps)

    return dataclasses.replace(
        plain,
        recipe="adversarial-score-matching",
        training=training,
        sampler=get("consistent_annealed", options={"scale": c.scale}),
        extra={"discriminator": discriminator},
    )
