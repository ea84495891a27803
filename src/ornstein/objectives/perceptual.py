"""Distances of pictures beyond single pixels, for training autoencoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

Distance = Callable[[Tensor, Tensor], Tensor]
"""Two batches of pictures in [-1, 1], ``[B, C, H, W]`` -> ``[B]``; differentiable in both."""


@final
class FeatureDistance:
    r"""sum_l mean_{h,w} |n(f_l(x)) - n(f_l(y))|^2, n: unit length over channels, f_l: a network's layers.

    LPIPS without its learned weights (Zhang et al. 2018, 1801.03924), on whatever network is given.
    """

    def __init__(self, layers: Callable[[Tensor], Sequence[Tensor]]):
        self.layers = layers

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        total = torch.zeros(len(x), device=x.device)
        for a, b in zip(self.layers(x), self.layers(y), strict=True):
            gap = (F.normalize(a, dim=1) - F.normalize(b, dim=1)) ** 2
            total = total + gap.sum(1).flatten(1).mean(1)
        return total


@final
class GradientDistance:
    """Mean absolute difference of horizontal and vertical differences at ``levels`` sizes, each half the one before."""

    def __init__(self, levels: int = 3):
        self.levels = levels

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        gap = x - y
        total = torch.zeros(len(x), device=x.device)
        for level in range(self.levels):
            if level:
                gap = F.avg_pool2d(gap, 2)
            if min(gap.shape[-2:]) < 2:
                break
            total = total + gap.diff(dim=-1).abs().flatten(1).mean(1) + gap.diff(dim=-2).abs().flatten(1).mean(1)
        return total
