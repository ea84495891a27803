"""Fine detail made visible: sine and cosine features of the input itself."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError


@final
class FourierInput(nn.Module):
    r"""A network that reads x, sin(2 pi 2^n x) and cos(2 pi 2^n x) for each exponent n, along the channels.

    For likelihood, in which the last bits of x count: at n = 7 neighbouring values of 8-bit data in [-1, 1] lie a full period
    apart. The network within takes (1 + 2 len(exponents)) times the channels. Kingma et al. 2021, 2107.00630, section 4.2.
    """

    def __init__(self, network: nn.Module, exponents: tuple[int, ...] = (6, 7)):
        super().__init__()
        if not exponents or min(exponents) < 0:
            raise UsageError(f"Fourier features need exponents of at least 0, got {exponents}")
        self.network, self.exponents = network, exponents

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        angles = [2 * math.pi * 2**n * x for n in self.exponents]
        features = [f(a) for a in angles for f in (torch.sin, torch.cos)]
        return self.network(torch.cat([x, *features], 1), t, cond)
