"""A U-Net whose decoder is told a layout by spatially adaptive normalisation; its encoder sees the noisy picture alone."""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond, is_missing
from ornstein.core.errors import UsageError
from ornstein.networks.layers.attention import check_head
from ornstein.networks.layers.blocks import Block, SelfAttention, conv
from ornstein.networks.layers.conditioning import Condition, Conditioning, ImageCondition
from ornstein.networks.layers.embedding import NoiseEmbedding
from ornstein.networks.layers.norm import GroupNorm
from ornstein.networks.layers.resample import Resample


@final
class Spade(nn.Module):
    r"""norm(h) (1 + gamma(c)) + beta(c): group norm without weights of its own; gamma and beta are made of the layout c.

    c ``[B, K, H, W]`` is brought to h's size by the nearest pixels, then a 3 x 3 convolution to ``hidden`` channels, ReLU, and
    a second one to gamma and beta. Park et al. 2019, 1903.07291, with group norm as Wang et al. 2022.
    """

    def __init__(self, channels: int, layout: int, hidden: int):
        super().__init__()
        self.groups = math.gcd(channels, max(1, min(32, channels // 4)))
        self.shared = nn.Conv2d(layout, hidden, 3, padding=1)
        self.both = nn.Conv2d(hidden, 2 * channels, 3, padding=1)

    def forward(self, h: Tensor, layout: Tensor) -> Tensor:
        if layout.shape[-2:] != h.shape[-2:]:
            layout = F.interpolate(layout, size=h.shape[-2:], mode="nearest")
        gamma, beta = self.both(F.relu(self.shared(layout.to(h.dtype)))).chunk(2, dim=1)
        return torch.addcmul(beta, F.group_norm(h, self.groups), gamma + 1)


@final
class SpadeBlock(nn.Module):
    """A residual block of the decoder: both of its norms are told the layout, the second also the noise level."""

    def __init__(
        self, inside: int, outside: int, emb: int, layout: int, hidden: int, *, up: bool = False, head: int = 0
    ):
        super().__init__()
        self.grow = Resample("up", "box") if up else None
        self.norm0, self.norm1 = Spade(inside, layout, hidden), Spade(outside, layout, hidden)
        self.conv0, self.conv1 = conv(inside, outside, 3), conv(outside, outside, 3, zero=True)
        self.emb = nn.Linear(emb, 2 * outside)
        self.skip = conv(inside, outside, 1) if inside != outside else None
        self.attention = SelfAttention(outside, head, 1.0) if head else None

    def forward(self, x: Tensor, emb: Tensor, layout: Tensor) -> Tensor:
        y = F.silu(self.norm0(x, layout))
        if self.grow is not None:
            x, y = self.grow(x), self.grow(y)
        y = self.conv0(y)
        scale, shift = self.emb(emb).to(y.dtype)[:, :, None, None].chunk(2, dim=1)
        y = F.silu(torch.addcmul(shift, self.norm1(y, layout), scale + 1))
        y = (x if self.skip is None else self.skip(x)) + self.conv1(y)
        return y if self.attention is None else self.attention(y)


@final
class SpadeUNet(nn.Module):
    """``(x [B, C, H, W], t [B], cond) -> [B, out, H, W]``, float32 out, zero at initialisation.

    ``cond[layout.name]`` ``[B, K, H, W]`` are the layouts; a missing one is zero everywhere, which no one-hot map is. Wang et
    al. 2022, 2207.00050, figure 3.

    Args:
        widths: channels at each resolution, finest first; H and W must be multiples of 2^(resolutions - 1).
        blocks: residual blocks per resolution in the encoder (one more in the decoder).
        attention: indices of ``widths`` that get attention, beside the middle; ``head`` is the width of a head, 0 for the
            largest that divides both 64 and their channels.
        hidden: channels between a layout and what it does to a norm.
        conditions: further ones, added to the noise level.
    """

    def __init__(
        self,
        *,
        channels: int,
        layout: ImageCondition,
        out_channels: int | None = None,
        widths: tuple[int, ...] = (64, 128),
        blocks: int = 2,
        attention: tuple[int, ...] = (1,),
        head: int = 0,
        hidden: int = 128,
        dropout: float = 0.0,
        conditions: tuple[Condition, ...] = (),
    ):
        super().__init__()
        sizes = (channels, blocks, hidden, *widths)
        if not widths or min(sizes) < 1 or any(not 0 <= a < len(widths) for a in attention):
            raise UsageError(
                f"a SpadeUNet needs positive sizes and attention that names widths by index, got channels={channels}, "
                f"widths={widths}, blocks={blocks}, hidden={hidden}, attention={attention}"
            )
        attending = {widths[-1], *(widths[a] for a in attention)}
        head = head or math.gcd(64, *attending)
        for width in attending:
            check_head("attention", width, head)
        if any(isinstance(c, ImageCondition) for c in conditions):
            raise UsageError("a SpadeUNet reads one picture, its layout; give other conditions as vectors or classes")
        emb, self.layout, self.halvings = 4 * widths[0], layout, len(widths) - 1
        self.noise = NoiseEmbedding("sinusoidal", widths[0], emb)
        self.conditioning = Conditioning(conditions=conditions, width=emb, text_width=emb)

        def told(inside: int, outside: int, *, up: bool = False, attends: bool = False) -> SpadeBlock:
            return SpadeBlock(inside, outside, emb, layout.channels, hidden, up=up, head=head if attends else 0)

        self.stem = conv(channels, widths[0], 3)
        self.encoder, skips, width = nn.ModuleList(), [widths[0]], widths[0]
        for level, w in enumerate(widths):
            if level:
                self.encoder.append(Block(width, width, emb, resample="down", modulation="scale_shift"))
                skips.append(width)
            for _ in range(blocks):
                attends = level in attention
                self.encoder.append(
                    Block(width, w, emb, modulation="scale_shift", dropout=dropout, attention=attends, head=head)
                )
                width = w
                skips.append(width)
        self.middle = nn.ModuleList([told(width, width, attends=True), told(width, width)])
        self.decoder = nn.ModuleList()
        for level in reversed(range(len(widths))):
            stage = [told(width, width, up=True)] if level < len(widths) - 1 else []
            for _ in range(blocks + 1):
                stage.append(told(width + skips.pop(), widths[level], attends=level in attention))
                width = widths[level]
            self.decoder.append(nn.ModuleList(stage))
        self.out = nn.Sequential(GroupNorm(width), nn.SiLU(), conv(width, out_channels or channels, 3, zero=True))

    def read(self, cond: Cond, x: Tensor) -> Tensor:
        """``[B, K, h, w]`` layouts, zero where missing."""
        given = cond.get(self.layout.name)
        if given is None:
            return x.new_zeros(len(x), self.layout.channels, *x.shape[-2:])
        if given.ndim != 4 or given.shape[:2] != (len(x), self.layout.channels) or not given.is_floating_point():
            raise UsageError(
                f"cond['{self.layout.name}'] must be floats [{len(x)}, {self.layout.channels}, H, W], got "
                f"{tuple(given.shape)} {given.dtype}"
            )
        return torch.where(is_missing(given)[:, None, None, None], torch.zeros_like(given), given).to(x.device)

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        if x.shape[-2] % 2**self.halvings or x.shape[-1] % 2**self.halvings:
            raise UsageError(
                f"{x.shape[-2]} x {x.shape[-1]} cannot be halved {self.halvings} times; take a multiple of {2**self.halvings}"
            )
        layout = self.read(cond, x)
        emb = F.silu(self.conditioning.add(self.noise(t), cond))
        x = self.stem(x)
        skips = [x]
        for block in self.encoder:
            x = block(x, emb, None)
            skips.append(x)
        for block in self.middle:
            x = block(x, emb, layout)
        for stage in self.decoder:
            for block in stage.children():
                assert isinstance(block, SpadeBlock)
                x = block(x if block.grow is not None else torch.cat([x, skips.pop()], 1), emb, layout)
        out: Tensor = self.out(x)
        return out.float()
