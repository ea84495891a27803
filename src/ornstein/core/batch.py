"""What a data stream yields and an objective reads."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ornstein.core import cond as conditions
from ornstein.core.cond import Cond


@dataclass
class Batch:
    """Data ``x [B, ...]`` as stored (uint8 for images; codecs make floats of it) with its conditions."""

    x: Tensor
    cond: Cond = field(default_factory=dict)

    def __len__(self) -> int:
        return self.x.shape[0]

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on a device."""
        return Batch(self.x.to(device), conditions.to(self.cond, device))
