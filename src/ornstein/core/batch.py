"""One training or evaluation batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic

import torch

from ornstein.core import cond as conditions
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.state import X, batch_size, rows, to_device


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

    def split(self, parts: int) -> list[Batch[X]]:
        """The batch in ``parts`` consecutive parts, whose sizes differ by one at most."""
        if not 1 <= parts <= len(self):
            raise UsageError(f"a batch of {len(self)} cannot be divided into {parts} parts")
        ends = [len(self) * i // parts for i in range(parts + 1)]
        spans = [slice(a, b) for a, b in pairwise(ends)]
        return [Batch(rows(self.x, span), conditions.rows(self.cond, span)) for span in spans]
