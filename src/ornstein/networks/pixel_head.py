"""A small head that reads each pixel of a network's inner layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.errors import UsageError


@final
class PixelHead(nn.Module):
    """Layers' outputs, each brought to the size of the picture, and features of t: a multilayer perceptron of each pixel.

    ``features`` ``[B, c_i, h_i, w_i]`` with ``widths`` c_i, ``t [B]`` in [0, 1] to ``[B, outputs, *size]``.
    """

    def __init__(self, widths: Sequence[int], size: tuple[int, int], outputs: int = 1, hidden: int = 64):
        super().__init__()
        self.widths, self.size = tuple(widths), size
        self.body = nn.Sequential(
            nn.Conv2d(sum(widths) + 8, hidden, 1),
            nn.SiLU(),
            nn.Conv2d(hidden, hidden, 1),
            nn.SiLU(),
            nn.Conv2d(hidden, outputs, 1),
        )

    def forward(self, features: Sequence[Tensor], t: Tensor) -> Tensor:
        if tuple(f.shape[1] for f in features) != self.widths:
            raise UsageError(f"this head reads layers of {self.widths} channels, got {[f.shape[1] for f in features]}")
        large = [F.interpolate(f.float(), size=self.size, mode="bilinear") for f in features]
        angle = torch.pi / 2 * t.to(large[0])[:, None] * torch.arange(1, 5, device=t.device)
        told = torch.cat([angle.cos(), angle.sin()], 1)[:, :, None, None].expand(-1, -1, *self.size)
        out: Tensor = self.body(torch.cat([*large, told], 1))
        return out
