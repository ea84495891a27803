"""Halving and doubling of images. An odd size is rounded up on the way down, as if its last line were repeated."""

from __future__ import annotations

from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.errors import unknown

Filter = Literal["box", "fir"]


@final
class Resample(nn.Module):
    """Down or up by two with a box (mean of four, nearest) or the filter [1, 3, 3, 1] (Karras et al. 2020; NCSN++)."""

    def __init__(self, direction: Literal["down", "up"], filter: Filter):
        super().__init__()
        if filter not in ("box", "fir"):
            raise unknown("filter", filter, ("box", "fir"))
        self.direction, self.filter = direction, filter

    def forward(self, x: Tensor) -> Tensor:
        if self.filter == "box":
            if self.direction == "down":
                return F.avg_pool2d(x, 2, ceil_mode=True)
            return F.interpolate(x, scale_factor=2, mode="nearest")
        taps = torch.tensor([1, 3, 3, 1], dtype=x.dtype, device=x.device) / 8
        kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4)
        if self.direction == "up":
            return F.conv_transpose2d(x, 4 * kernel, stride=2, padding=1, groups=x.shape[1])
        odd = x.shape[-2] % 2, x.shape[-1] % 2
        if any(odd):
            x = F.pad(x, (0, odd[1], 0, odd[0]), mode="replicate")
        return F.conv2d(x, kernel, stride=2, padding=1, groups=x.shape[1])
