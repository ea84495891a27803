"""One training or evaluation batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic

import torch

from ornstein.core import cond as conditions
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.state import X, batch_size, to_device


@dataclass(frozen=True)
class Batch(Generic[X]):
    """Data as it lies on disk (images: uint8 ``[B, C, H, W]``) and its conditions; ``x`` may be any state."""

    x: X
    cond: Cond = field(default_factory=lambda: NO_COND)

    def __len__(self) -> int:
        return batch_size(self.x)

    def to(self, device: torch.device | str) -> Batch[X]:
        """Both parts on a device."""
        return Batch(to_device(self.x, device), conditions.to(self.cond, device))
