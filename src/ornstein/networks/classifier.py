"""A classifier of noisy images: the encoder half of a U-Net with the noise level, pooled."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.networks.layers.blocks import Block, conv
from ornstein.networks.layers.embedding import NoiseEmbedding
from ornstein.networks.layers.norm import GroupNorm


@final
class NoisyClassifier(nn.Module):
    r"""``(x [B, C, H, W], t [B]) -> logits [B, classes]``, t running to 1000; equal logits at initialisation.

    With ``temperature`` the logits are temperature cos(phi(x_t), c_k): likeness to a learned prototype of each class.
    Dhariwal & Nichol 2021, section 4 (half a U-Net); Sehwag et al. 2022, section 3.2 (likeness).
    """

    def __init__(
        self,
        *,
        channels: int,
        classes: int,
        widths: tuple[int, ...] = (32, 64, 64),
        temperature: float | None = None,
    ):
        super().__init__()
        if classes < 2:
            raise UsageError(f"a classifier needs at least two classes, got {classes}")
        if not widths or min(widths) < 1:
            raise UsageError(f"widths must hold at least one positive width, got {widths}")
        if temperature is not None and not temperature > 0:
            raise UsageError(f"temperature must be positive, got {temperature}")
        emb = 4 * widths[0]
        self.channels, self.temperature = channels, temperature
        self.noise = NoiseEmbedding("sinusoidal", max(4, widths[0] - widths[0] % 2), emb)
        self.stem = conv(channels, widths[0], 3)
        width, blocks = widths[0], []
        for level, w in enumerate(widths):
            blocks.append(Block(width, w, emb, resample="down" if level else "keep", modulation="scale_shift"))
            width = w
        self.blocks = nn.ModuleList(blocks)
        self.norm = GroupNorm(width)
        self.out = nn.Linear(width, classes, bias=temperature is None)
        if temperature is None:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        if x.shape[1] != self.channels:
            raise UsageError(f"the classifier takes {self.channels} channels, got {x.shape[1]}")
        emb = F.silu(self.noise(t))
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, emb, None)
        features = F.silu(self.norm(x)).mean((2, 3)).float()
        if self.temperature is None:
            return self.out(features)
        return self.temperature * F.linear(F.normalize(features, dim=1), F.normalize(self.out.weight, dim=1))
