"""One learned number per noise level."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.errors import UsageError
from ornstein.networks.layers.magnitude import MPFourier, MPLinear


@final
class Uncertainty(nn.Module):
    r"""u(c) = w . sqrt(2) cos(2 pi (f c + phi)), ``[B] -> [B]``: the log variance of a loss at a level. 0 at first.

    Karras et al. 2024, 2312.02696, section 2.3 and eq. 21: as wide as 128 features; c is ln(sigma)/4.
    """

    def __init__(self, width: int = 128):
        super().__init__()
        if width < 1:
            raise UsageError(f"width must be at least 1, got {width}")
        self.features, self.out = MPFourier(width), MPLinear(width, 1)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, noise: Tensor) -> Tensor:
        return self.out(self.features(noise), self.gain).squeeze(1)
