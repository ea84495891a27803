"""A network with a second one beside it that reads its output: what is predicted later, without touching the first."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond


@final
class Headed(nn.Module):
    """``(x [B, C, ...], t, cond) -> [y, head([x, y])]`` along the channels, y = backbone(x): ``[B, 2C, ...]``.

    The head reads the state and what the backbone makes of it, 2C channels in all, and no gradient of its goes back into the
    backbone.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module):
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        out = self.backbone(x, t, cond)
        seen = torch.cat([x, out.detach().to(x.dtype)], 1)
        return torch.cat([out, self.head(seen, t, cond).to(out.dtype)], 1)
