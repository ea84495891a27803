r"""LPIPS with a backbone of one's own: sum_l mean_hw w_l . (f_l(x) - f_l(y))^2 of channel-normalised features.

Zhang et al. 2018, 1801.03924, eq. 1. The published weights belong to their backbones (AlexNet, VGG, SqueezeNet) and come as
files of others; give the backbone as a function and its weights as tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.evaluation.images.pairs import pair


@final
class LPIPS:
    """``backbone``: images ``[B, C, H, W]`` in [-1, 1] -> feature maps ``[B, C_l, H_l, W_l]``; its own normalisation inside.

    ``weights``: one non-negative ``[C_l]`` for each map; None weighs all channels 1, the paper's untrained baseline.
    """

    def __init__(self, backbone: Callable[[Tensor], Sequence[Tensor]], weights: Sequence[Tensor] | None = None):
        if weights is not None and any(bool((w < 0).any()) for w in weights):
            raise UsageError("LPIPS weights must not be negative: a difference would make images more alike")
        self.backbone = backbone
        self.weights = None if weights is None else [w.flatten() for w in weights]

    @torch.no_grad()
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """``[B]``; images 0..255."""
        a, b = (v.float() / 127.5 - 1 for v in pair(x, y))
        maps = list(zip(self.backbone(a), self.backbone(b), strict=True))
        if self.weights is not None and [len(w) for w in self.weights] != [f.shape[1] for f, _ in maps]:
            raise UsageError(
                f"the backbone gives maps of {[f.shape[1] for f, _ in maps]} channels, the weights are for "
                f"{[len(w) for w in self.weights]}; take those that were trained for it"
            )
        total = torch.zeros(len(x), dtype=torch.float64)
        for i, (f, g) in enumerate(maps):
            d = (_unit(f) - _unit(g)).square()
            w = torch.ones(d.shape[1]) if self.weights is None else self.weights[i]
            total += (d * w.to(d)[None, :, None, None]).sum(1).mean((1, 2)).double().cpu()
        return total


def _unit(f: Tensor) -> Tensor:
    return f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10)
