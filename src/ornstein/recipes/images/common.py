"""What the image recipes share: the fields of their configs, and the one-stage training of a denoiser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ornstein.core.errors import UsageError
from ornstein.core.loss import Objective
from ornstein.data.augment import EDM_WIDTH
from ornstein.networks import presets
from ornstein.networks.layers.conditioning import ClassCondition, Condition, VectorCondition
from ornstein.networks.mp_unet import MPUNet
from ornstein.recipes.system import System
from ornstein.training.fit import Data, Stage, Update
from ornstein.training.optim import Decay, OptimizerSpec


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """Fields that every image recipe has. ``size``, ``channels`` and ``classes`` follow the data unless they are set."""

    size: int = 32
    channels: int = 3
    classes: tuple[str, ...] = ()
    batch: int = 64
    steps: int = 20_000
    """training steps"""
    lr: float = 2e-4
    warmup: int = 500
    decay: Decay = "constant"
    decay_steps: int = 0
    clip: float = 1.0
    flip: bool = False
    """mirror training images left to right at random"""
    cond_dropout: float = 0.1
    caption_width: int = 0
    """width of the vectors that stand for captions; 0 where the data have none. Follows the data"""
    ema_half_life: float = 100_000
    """in images"""
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    """of the network in training (fp16 on CUDA only); sampling is in float32 unless asked otherwise"""

    def __post_init__(self) -> None:
        for name in ("size", "channels", "batch", "steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image."""
        return self.channels, self.size, self.size

    @property
    def autocast(self) -> torch.dtype | None:
        """The network's precision in training."""
        return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": None}[self.precision]

    def optimizer(self) -> OptimizerSpec:
        """The optimiser that these fields describe."""
        return OptimizerSpec(
            lr=self.lr,
            betas=(0.9, 0.99),
            warmup=self.warmup,
            decay=self.decay,
            decay_steps=self.decay_steps,
            clip=self.clip or None,
        )


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(ImageConfig):
    """An image recipe whose network is given by a few sizes, or is one that a paper names."""

    architecture: Literal[
        "mp_unet", "ddpm_cifar10", "iddpm_cifar10", "ddpmpp_cifar10", "ncsnpp_cifar10", "adm_imagenet64"
    ] = "mp_unet"
    """``mp_unet`` of the sizes below, or a paper's network as :mod:`ornstein.networks.presets` builds it, at its own sizes"""

    widths: tuple[int, ...] = (32, 64)
    """channels at each resolution, finest first. These suit minutes on a CPU; see the guide for hours or a GPU"""
    blocks: int = 1
    """residual blocks per resolution"""
    attention: tuple[int, ...] = ()
    """indices of ``widths`` that get attention; the coarsest has one in its middle always"""
    augment: float = 0.0
    """probability of each of EDM's augmentations; the network is told what was done, and samples show none of it"""
    patch: int = 2
    """pixels are gathered in patch x patch blocks before the network"""
    dropout: float = 0.0
    steps: int = 4000
    lr: float = 1e-2
    decay: Decay = "inverse_sqrt"
    decay_steps: int = 2000
    warmup: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.augment <= 1:
            raise UsageError(f"augment, a probability, must lie in [0, 1], got {self.augment}")

    def network(
        self,
        bandwidth: float = 1 / 250,
        further: tuple[Condition, ...] = (),
        outputs: int = 1,
        inputs: int = 1,
    ) -> nn.Module:
        """The network, untrained; ``bandwidth`` suits the range of the time that it is told, here 1000 t.

        ``outputs`` is how many numbers it gives per value of the image: 2 where it predicts a variance as well; ``inputs``
        how many it reads, where features are added to the image.
        ``further`` conditions are those that the recipe itself supplies, beside the classes and captions of the data.
        """
        conditions: tuple[Condition, ...] = ()
        if self.classes:
            conditions += (ClassCondition("label", len(self.classes)),)
        if self.caption_width:
            conditions += (VectorCondition("caption", self.caption_width),)
        if self.augment:
            conditions += (VectorCondition("augment", EDM_WIDTH, plain=True),)
        conditions += further
        if self.architecture != "mp_unet":
            return getattr(presets, self.architecture)(
                channels=inputs * self.channels,
                out_channels=outputs * self.channels,
                conditions=conditions,
                dropout=self.dropout,
            )
        return MPUNet(
            channels=inputs * self.channels,
            out_channels=outputs * self.channels,
            widths=self.widths,
            blocks=self.blocks,
            attention=self.attention,
            conditions=conditions,
            patch=self.patch,
            dropout=self.dropout,
            bandwidth=bandwidth,
        )


def one_stage(
    config: ImageConfig, objective: Callable[[System], Objective]
) -> Callable[[System, Data], Iterator[Stage]]:
    """Training in a single stage: the denoiser's parameters on one objective."""

    def stages(system: System, data: Data) -> Iterator[Stage]:
        params = [p for p in system.denoiser.parameters() if p.requires_grad]
        yield Stage("denoiser", data, [Update(objective(system), params, config.optimizer())], config.steps)

    return stages
