"""Residual-in-residual dense blocks: features of a small picture, and a plain super-resolution by which they are learned."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError

_SHARE = 0.2
"""Of a residual that is added. Wang et al. 2018, 1809.00219."""


class _Dense(nn.Module):
    """Five convolutions, each of which sees all before it."""

    def __init__(self, width: int, growth: int):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(width + i * growth, growth if i < 4 else width, 3, padding=1) for i in range(5)
        )

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for conv in self.convs[:-1]:
            seen.append(F.leaky_relu(conv(torch.cat(seen, 1)), 0.2))
        out: Tensor = x + _SHARE * self.convs[-1](torch.cat(seen, 1))
        return out


@final
class RRDBEncoder(nn.Module):
    """``[B, C, h, w]`` to the outputs of every third block, ``[B, features, h, w]``; ``blocks`` of three dense blocks each."""

    def __init__(self, channels: int, scale: int, width: int = 32, blocks: int = 8):
        super().__init__()
        if blocks < 1 or width < 2 or scale < 1:
            raise UsageError(
                f"an encoder needs blocks and scale >= 1 and width >= 2, got {blocks}, {scale} and {width}"
            )
        self.scale = scale
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(_Dense(width, width // 2) for _ in range(3))) for _ in range(blocks)
        )
        self.kept = [i for i in range(blocks) if i % 3 == 2] or [blocks - 1]
        self.width = width * len(self.kept)
        self.last = nn.Conv2d(width, channels * scale**2, 3, padding=1)

    def _walk(self, small: Tensor) -> tuple[Tensor, list[Tensor]]:
        x, kept = self.first(small), []
        for i, block in enumerate(self.blocks):
            x = x + _SHARE * (block(x) - x)
            if i in self.kept:
                kept.append(x)
        return x, kept

    def features(self, small: Tensor) -> Tensor:
        """What a network that enlarges is told."""
        return torch.cat(self._walk(small)[1], 1)

    def forward(self, small: Tensor) -> Tensor:
        """``[B, C, scale h, scale w]``: the encoder's own answer, beyond interpolation."""
        return F.pixel_shuffle(self.last(self._walk(small)[0]), self.scale)


@final
class Encoded(nn.Module):
    """A network that sees an encoder's features of ``cond[name]``, enlarged by a learned layer, as the picture ``cond[into]``.

    The encoder gets no gradient here. A missing picture counts as grey. Li et al. 2022, 2104.14951, section 3.
    """

    def __init__(self, network: nn.Module, encoder: RRDBEncoder, width: int, name: str, into: str):
        super().__init__()
        s = encoder.scale
        self.network, self.encoder, self.name, self.into = network, encoder, name, into
        self.enlarge = nn.ConvTranspose2d(encoder.width, width, 2 * s, stride=s, padding=s // 2)

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        rest = {k: v for k, v in cond.items() if k != self.name}
        small = cond.get(self.name)
        if small is not None:
            with torch.no_grad():
                seen = self.encoder.features(small.to(x).nan_to_num(0.0))
            large = self.enlarge(seen)[..., : x.shape[-2], : x.shape[-1]]
            rest[self.into] = large.float()
        out: Tensor = self.network(x, t, rest)
        return out
