"""One training or evaluation batch."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ornstein.core import cond as conditions
from ornstein.core.cond import NO_COND, Cond


@dataclass(frozen=True)
class Batch:
    """Data as it lies on disk (images: uint8 ``[B, C, H, W]``) and its conditions."""

    x: Tensor
    cond: Cond = field(default_factory=lambda: NO_COND)

    def __len__(self) -> int:
        return self.x.shape[0]

    def to(self, device: torch.device | str) -> Batch:
        """Both parts on a device."""
        return Batch(self.x.to(device), conditions.to(self.cond, device))
