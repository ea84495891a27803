"""What the baselines share: fields, and a System whose codec has learned everything and whose state is N(0, I)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from ornstein.codecs.base import Codec
from ornstein.core.errors import UsageError
from ornstein.denoisers.standard_normal import StandardNormal
from ornstein.recipes.system import System
from ornstein.samplers.table import get
from ornstein.training.fit import Data, Stage
from ornstein.training.optim import Decay, OptimizerSpec


@dataclass(frozen=True, kw_only=True)
class OneShotConfig:
    """Fields of every baseline. They are unconditional. ``size`` and ``channels`` follow the data unless they are set."""

    size: int = 32
    channels: int = 3
    batch: int = 64
    steps: int = 20_000
    """training steps"""
    lr: float = 1e-3
    warmup: int = 100
    decay: Decay = "constant"
    decay_steps: int = 0
    clip: float = 1.0
    flip: bool = False
    """mirror training images left to right at random"""
    ema_half_life: float = 20_000
    """in images"""

    def __post_init__(self) -> None:
        for name in ("size", "channels", "batch", "steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image."""
        return self.channels, self.size, self.size

    def optimizer(self) -> OptimizerSpec:
        """The optimiser that these fields describe."""
        return OptimizerSpec(
            lr=self.lr, warmup=self.warmup, decay=self.decay, decay_steps=self.decay_steps, clip=self.clip or None
        )


def one_shot(
    recipe: str,
    config: OneShotConfig,
    codec: Codec,
    latents: int,
    training: Callable[[System, Data], Iterator[Stage]],
    extra: dict[str, nn.Module] | None = None,
) -> System:
    """z ~ N(0, I), x = codec.decode(z): one call, whatever the number of steps."""
    about: dict[str, Any] = {} if extra is None else extra
    return System(
        recipe=recipe,
        config=config,
        codec=codec,
        denoiser=StandardNormal(),
        shape=(latents,),
        data_shape=config.shape,
        training=training,
        sampler=get("flow_map"),
        steps=1,
        grid="even",
        ema_half_life=config.ema_half_life,
        extra=about,
    )
