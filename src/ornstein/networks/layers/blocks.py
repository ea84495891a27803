"""The residual and attention blocks of the U-Net family."""

from __future__ import annotations

from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.perturb import Perturbable, Perturbation
from ornstein.networks.layers.attention import attend, check_head
from ornstein.networks.layers.conditioning import Text
from ornstein.networks.layers.norm import GroupNorm
from ornstein.networks.layers.resample import Filter, Resample
from ornstein.networks.layers.spatial_transformer import SpatialTransformer

Modulation = Literal["shift", "scale_shift"]


def conv(inside: int, outside: int, kernel: int, *, stride: int = 1, zero: bool = False) -> nn.Conv2d:
    """A convolution that keeps the size (at stride 1): Glorot's initialisation or zero, biases zero."""
    layer = nn.Conv2d(inside, outside, kernel, stride=stride, padding=kernel // 2)
    if zero:
        nn.init.zeros_(layer.weight)
    else:
        nn.init.xavier_uniform_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


@final
class SelfAttention(nn.Module, Perturbable):
    """(x + project(attention(norm(x)))) scale, in heads of width ``head`` (0: one head of all channels)."""

    def __init__(self, channels: int, head: int, scale: float):
        super().__init__()
        self.heads = check_head("attention", channels, head) if head else 1
        self.scale = scale
        self.norm = GroupNorm(channels)
        self.qkv = conv(channels, 3 * channels, 1)
        self.project = conv(channels, channels, 1, zero=True)

    @property
    def perturbations(self) -> tuple[Perturbation, ...]:
        return ("identity",)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w)
        q, k, v = qkv.transpose(-2, -1).unbind(1)
        y = v if self.perturbation == "identity" else attend(q, k, v)
        y = y.transpose(-2, -1).reshape(b, c, h, w)
        y = x + self.project(y)
        return y if self.scale == 1 else y * self.scale


@final
class CrossAttention(nn.Module):
    """The same with keys and values from a text's tokens ``[B, L, text]``."""

    def __init__(self, channels: int, head: int, scale: float, text: int):
        super().__init__()
        self.heads = check_head("attention", channels, head) if head else 1
        self.scale = scale
        self.norm = GroupNorm(channels)
        self.q = conv(channels, channels, 1)
        self.kv = nn.Linear(text, 2 * channels)
        self.project = conv(channels, channels, 1, zero=True)

    def forward(self, x: Tensor, text: Text) -> Tensor:
        b, c, h, w = x.shape
        q = self.q(self.norm(x)).reshape(b, self.heads, c // self.heads, h * w).transpose(-2, -1)
        k, v = self.kv(text.tokens.to(x.dtype)).reshape(b, -1, 2, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        y = attend(q, k, v, text.mask).transpose(-2, -1).reshape(b, c, h, w)
        y = x + self.project(y)
        return y if self.scale == 1 else y * self.scale


@final
class Block(nn.Module, Perturbable):
    r"""(skip(x) + conv(silu(modulated norm(conv(silu(norm(x))))))) scale, then attention.

    Args:
        resample: "down" or "up" resamples both branches before their convolutions (Song et al. 2021, Dhariwal & Nichol 2021).
        project: a 1 x 1 convolution on the skip path also where only the size changes.
        modulation: the embedding is added before the norm ("shift") or gives scale and shift after it ("scale_shift").
        scale: of both sums: 1, or 1/sqrt(2) to keep the variance.
        transformer: a :class:`SpatialTransformer` in place of the two attentions (Rombach et al. 2022).
    """

    def __init__(
        self,
        inside: int,
        outside: int,
        emb: int,
        *,
        resample: Literal["keep", "down", "up"] = "keep",
        filter: Filter = "box",
        project: bool = False,
        modulation: Modulation = "shift",
        scale: float = 1.0,
        dropout: float = 0.0,
        attention: bool = False,
        head: int = 64,
        text: int = 0,
        transformer: bool = False,
    ):
        super().__init__()
        self.modulation, self.scale, self.dropout = modulation, scale, dropout
        self.resample = None if resample == "keep" else Resample(resample, filter)
        self.norm0 = GroupNorm(inside)
        self.conv0 = conv(inside, outside, 3)
        self.emb = nn.Linear(emb, 2 * outside if modulation == "scale_shift" else outside)
        self.norm1 = GroupNorm(outside)
        self.conv1 = conv(outside, outside, 3, zero=True)
        needed = inside != outside or (project and self.resample is not None)
        self.skip = conv(inside, outside, 1) if needed else None
        self.attention = SelfAttention(outside, head, scale) if attention and not transformer else None
        self.text = CrossAttention(outside, head, scale, text) if attention and text and not transformer else None
        self.transformer = SpatialTransformer(outside, head or outside, text) if attention and transformer else None

    @property
    def perturbations(self) -> tuple[Perturbation, ...]:
        return ("skip",) if self.skip is None and self.resample is None else ()

    def forward(self, x: Tensor, emb: Tensor, text: Text | None) -> Tensor:
        if self.perturbation == "skip":
            return x
        y = F.silu(self.norm0(x))
        if self.resample is not None:
            x, y = self.resample(x), self.resample(y)
        y = self.conv0(y)
        m = self.emb(emb).to(y.dtype)[:, :, None, None]
        if self.modulation == "scale_shift":
            scale, shift = m.chunk(2, dim=1)
            y = F.silu(torch.addcmul(shift, self.norm1(y), scale + 1))
        else:
            y = F.silu(self.norm1(y + m))
        if self.dropout:
            y = F.dropout(y, self.dropout, self.training)
        if self.skip is not None:
            x = self.skip(x)
        y = x + self.conv1(y)
        if self.scale != 1:
            y = y * self.scale
        if self.attention is not None:
            y = self.attention(y)
        if self.text is not None and text is not None:
            y = self.text(y, text)
        return y if self.transformer is None else self.transformer(y, text)


@final
class ConvResample(nn.Module):
    """DDPM's resampling between blocks: a strided convolution down, nearest and a convolution up. The embedding is not read."""

    def __init__(self, direction: Literal["down", "up"], channels: int):
        super().__init__()
        self.up = Resample("up", "box") if direction == "up" else None
        self.conv = conv(channels, channels, 3, stride=1 if direction == "up" else 2)

    def forward(self, x: Tensor, emb: Tensor, text: Text | None) -> Tensor:
        return self.conv(x if self.up is None else self.up(x))
