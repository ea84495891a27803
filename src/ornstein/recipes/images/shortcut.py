r"""Shortcut models: one network, told how far to jump, learns flow matching and jumps of every length in one run.

t = 1 is noise here; the paper runs time the other way. A number of sampling steps is a power of two, because those
are the jumps that were trained.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from torch import nn

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.two_time import SPAN, FlowMapDenoiser, TwoTime
from ornstein.networks.dit import DiT
from ornstein.networks.layers.conditioning import ClassCondition, Condition
from ornstein.objectives.followers import Follower
from ornstein.objectives.shortcut import Shortcut as ShortcutObjective
from ornstein.objectives.shortcut import is_power_of_two
from ornstein.processes.gaussian import FlowMatching
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get
from ornstein.training.optim import OptimizerSpec


@dataclass(frozen=True, kw_only=True)
class Shortcut(NetworkConfig):
    """The jumps, and how they are learned."""

    architecture: Literal["mp_unet", "ddpm_cifar10", "ddpmpp_cifar10", "ncsnpp_cifar10", "adm_imagenet64", "dit_b"] = (
        "mp_unet"  # type: ignore[assignment]
    )
    """as elsewhere, or the paper's DiT-B/2"""
    finest: int = 128
    """the number of steps whose jumps are those of the flow itself"""
    part: float = 0.25
    """of the batch, that learns jumps from two half jumps"""
    target_rate: float = 0.999
    """of the copy that makes their targets, per step"""
    bound: float = 4.0
    """jumped-to points and targets are clipped to it"""
    weight_decay: float = 0.1
    sampling_steps: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_power_of_two(self.finest) or self.finest < 2:
            raise UsageError(f"finest must be a power of two of at least 2, got {self.finest}")
        if not is_power_of_two(self.sampling_steps) or self.sampling_steps > self.finest:
            raise UsageError(
                f"sampling_steps must be a power of two up to finest ({self.finest}), got {self.sampling_steps}: other "
                "jumps were not trained"
            )

    def network(self, bandwidth: float = 1 / 250, further: tuple[Condition, ...] = ()) -> nn.Module:  # type: ignore[override]
        """The network, untrained; ``further`` conditions are those that the recipe itself supplies."""
        if self.architecture != "dit_b":
            return super().network(bandwidth, further)
        conditions = ((ClassCondition("label", len(self.classes)),) if self.classes else ()) + further
        return DiT(
            channels=self.channels,
            out_channels=self.channels,
            patch=2,
            width=768,
            depth=12,
            head=64,
            conditions=conditions,
        )

    def optimizer(self) -> OptimizerSpec:
        """The optimiser, with decay of the weights: without it the jumps drift."""
        return dataclasses.replace(super().optimizer(), weight_decay=self.weight_decay)


@recipe(
    "shortcut",
    area="images",
    title="One Step Diffusion via Shortcut Models (Frans et al. 2024)",
    paper="arxiv:2410.12557",
    claim="one network trained in one run samples in any number of steps that is a power of two, in one step far better "
    "than flow matching and in many as well",
    equations="u(x_t, t, t): flow matching; u(x_t, t, t - 2d) = sg(u(x_t, t, t - d) + u(x', t - d, t - 2d))/2, "
    "x' = x_t - d u(x_t, t, t - d); x_s = x_t - (t - s) u",
    bibtex="@inproceedings{frans2025shortcut, title={One Step Diffusion via Shortcut Models}, author={Frans, Kevin and "
    "Hafner, Danijar and Levine, Sergey and Abbeel, Pieter}, booktitle={ICLR}, year={2025}}",
)
def shortcut(c: Shortcut = Shortcut()) -> System:
    """The shortcut system."""
    denoiser = TwoTime(c.network(further=(SPAN,)), FlowMatching(), channels_last=True)
    codec = Scale()
    target: Follower[FlowMapDenoiser] = Follower(denoiser)

    def objective(system: System) -> ShortcutObjective:
        denoiser.autocast = c.autocast
        return ShortcutObjective(
            denoiser, codec, target, c.target_rate, c.finest, c.part, c.bound, cond_dropout=c.cond_dropout
        )

    return System(
        recipe="shortcut",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("flow_map", options={"dyadic": True}),
        steps=c.sampling_steps,
        grid="even",
        classes=c.classes,
        ema_half_life=c.ema_half_life,
        extra={"target": target},
    )
