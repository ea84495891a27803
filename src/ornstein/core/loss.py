"""What an objective returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ornstein.core.batch import Batch
from ornstein.core.rng import Random


@dataclass(frozen=True)
class Loss:
    """``value`` is differentiated; ``logs`` are scalars to record; ``levels`` is (noise level in [0, 1], loss) per sample."""

    value: Tensor
    logs: dict[str, float] = field(default_factory=dict)
    levels: tuple[Tensor, Tensor] | None = None


Objective = Callable[[Batch[Any], Random], Loss]
"""batch -> loss, for one player, on whatever state its data has. It holds its denoiser, process and weighting."""
