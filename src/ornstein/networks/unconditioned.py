"""A network that is not told the noise level."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond


@final
class Unconditioned(nn.Module):
    """The network within is asked at level 0 whatever the level: it has to see the noise in x. Song & Ermon 2020, technique 3."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.network(x, torch.zeros_like(t), cond)
