"""Features of the noise level."""

from __future__ import annotations

import math
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.errors import UsageError, unknown

Embedding = Literal["sinusoidal", "fourier"]


@final
class Sinusoidal(nn.Module):
    r"""(cos(f_i t), sin(f_i t)), f_i = 10000^{-i/(n - 1)}: ``[B] -> [B, width]``. For t of the order of 1000; Ho et al. 2020."""

    frequencies: Tensor

    def __init__(self, width: int):
        super().__init__()
        if width < 4 or width % 2:
            raise UsageError(f"the sinusoidal embedding needs an even width of at least 4, got {width}")
        half = width // 2
        frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float64) / (half - 1)).float()
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        angle = torch.outer(t.float(), self.frequencies.float())
        return torch.cat([angle.cos(), angle.sin()], dim=1)


@final
class Fourier(nn.Module):
    r"""(cos(2 pi f_i t), sin(2 pi f_i t)), f_i ~ N(0, scale^2): ``[B] -> [B, width]``. For t of order 1; Song et al. 2021."""

    frequencies: Tensor

    def __init__(self, width: int, scale: float = 16.0):
        super().__init__()
        if width < 2 or width % 2:
            raise UsageError(f"the Fourier embedding needs an even width, got {width}")
        self.register_buffer("frequencies", 2 * math.pi * scale * torch.randn(width // 2))

    def forward(self, t: Tensor) -> Tensor:
        angle = torch.outer(t.float(), self.frequencies.float())
        return torch.cat([angle.cos(), angle.sin()], dim=1)


def features(embedding: Embedding, width: int) -> nn.Module:
    """The features of that name."""
    if embedding == "sinusoidal":
        return Sinusoidal(width)
    if embedding == "fourier":
        return Fourier(width)
    raise unknown("embedding", embedding, ("sinusoidal", "fourier"))


@final
class NoiseEmbedding(nn.Module):
    """Features, then two linear layers with a SiLU between them: ``[B] -> [B, width]``."""

    def __init__(self, embedding: Embedding, inside: int, width: int):
        super().__init__()
        self.features = features(embedding, inside)
        self.first, self.second = nn.Linear(inside, width), nn.Linear(width, width)

    def forward(self, t: Tensor) -> Tensor:
        return self.second(F.silu(self.first(self.features(t).to(self.first.weight.dtype))))
