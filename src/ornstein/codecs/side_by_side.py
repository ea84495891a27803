"""Two pictures as the channels of one state, and side by side as one picture."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec, Scale
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random


@final
class SideBySide(Codec):
    """Data ``[B, C, H, 2W]``, left and right picture, as bytes or in [-1, 1]; state ``[B, 2C, H, W]``, the left one first."""

    separable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._scale = Scale()

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        return torch.cat(self._scale.encode(x, rng).chunk(2, dim=-1), 1)

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return torch.cat(self._scale.decode(state).chunk(2, dim=1), -1)

    def log_volume(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), dtype=torch.float64, device=x.device)
