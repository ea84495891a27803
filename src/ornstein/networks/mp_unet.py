r"""The magnitude-preserving U-Net of EDM2 (Karras et al. 2024, 2312.02696, config G).

Every learned layer keeps the expected magnitude of its input: weights are normalised per output, non-linearities, sums and
concatenations are rescaled, and there is neither bias nor group norm. That also makes it quick on a CPU, where group norm is
the slow part of other U-Nets.
"""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError

SILU_GAIN = 1 / 0.596
"""1 / rms(silu(n)) for n ~ N(0, 1); eq. 81."""


def normalize_rows(w: Tensor) -> Tensor:
    """Scale each output's weights to unit mean square."""
    flat = w.flatten(1)
    norm = torch.linalg.vector_norm(flat, dim=1, keepdim=True) / math.sqrt(flat.shape[1])
    return (flat / (norm + 1e-4)).view_as(w)


def mp_sum(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Weighted sum of two uncorrelated unit-magnitude tensors; eq. 88."""
    norm = math.sqrt((1 - t) ** 2 + t**2)
    return torch.add(a * ((1 - t) / norm), b, alpha=t / norm)


def mp_cat(a: Tensor, b: Tensor, t: float = 0.5) -> Tensor:
    """Concatenation in which both parts contribute in proportion to t; eq. 103."""
    na, nb = a.shape[1], b.shape[1]
    c = math.sqrt((na + nb) / ((1 - t) ** 2 + t**2))
    return torch.cat([a * (c / math.sqrt(na) * (1 - t)), b * (c / math.sqrt(nb) * t)], dim=1)


def pixel_norm(x: Tensor) -> Tensor:
    """Unit mean square over channels at every pixel; eq. 30."""
    return F.rms_norm(x.permute(0, 2, 3, 1), (x.shape[1],), eps=1e-4).permute(0, 3, 1, 2)


class MPWeight(nn.Module):
    """A learned weight of unit-magnitude rows: forced back to the sphere at every training forward; eqs. 47 and 66."""

    def __init__(self, *shape: int):
        super().__init__()
        self.weight = nn.Parameter(normalize_rows(torch.randn(shape)))

    def scaled(self, gain: Tensor | float = 1.0) -> Tensor:
        """The effective weight: unit rows times gain / sqrt(fan in)."""
        if self.training and torch.is_grad_enabled():
            with torch.no_grad():
                self.weight.copy_(normalize_rows(self.weight))
        w = normalize_rows(self.weight)
        return w * (gain / math.sqrt(w[0].numel()))


@final
class MPConv(MPWeight):
    """Convolution (odd kernel, same size) without bias, channels in -> out."""

    def __init__(self, inside: int, outside: int, kernel: int):
        super().__init__(outside, inside, kernel, kernel)

    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        w = self.scaled(gain).to(x.dtype)
        return F.conv2d(x, w.contiguous(memory_format=torch.channels_last), padding=w.shape[-1] // 2)


@final
class MPLinear(MPWeight):
    """Linear map without bias."""

    def __init__(self, inside: int, outside: int):
        super().__init__(outside, inside)

    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        return F.linear(x, self.scaled(gain).to(x.dtype))


@final
class MPFourier(nn.Module):
    r"""sqrt(2) cos(2 pi (f t + phi)), f ~ N(0, bandwidth^2): unit-magnitude features of the noise level; eq. 75."""

    frequencies: Tensor
    phases: Tensor

    def __init__(self, width: int, bandwidth: float = 1.0):
        super().__init__()
        self.register_buffer("frequencies", 2 * math.pi * bandwidth * torch.randn(width))
        self.register_buffer("phases", 2 * math.pi * torch.rand(width))

    def forward(self, t: Tensor) -> Tensor:
        return torch.cos(torch.outer(t.float(), self.frequencies) + self.phases) * math.sqrt(2)


@final
class Attention(nn.Module):
    """Cosine attention: queries, keys and values of unit magnitude per head; appendix B.4 of the paper."""

    def __init__(self, channels: int, head: int, balance: float):
        super().__init__()
        if channels % head:
            raise UsageError(f"channels ({channels}) must be a multiple of head ({head})")
        self.heads, self.balance = channels // head, balance
        self.qkv = MPConv(channels, 3 * channels, 1)
        self.project = MPConv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        qkv = self.qkv(x).permute(0, 2, 3, 1).reshape(b, h * w, 3, self.heads, c // self.heads)
        q, k, v = F.rms_norm(qkv, (c // self.heads,), eps=1e-4).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, h, w, c).permute(0, 3, 1, 2)
        return mp_sum(x, self.project(y), self.balance)


@final
class Block(nn.Module):
    """One residual block of the encoder or the decoder; figure 21."""

    def __init__(
        self,
        inside: int,
        outside: int,
        emb: int,
        *,
        decoder: bool = False,
        resample: str = "keep",
        attention: bool = False,
        head: int = 64,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.decoder, self.resample, self.dropout = decoder, resample, dropout
        self.emb_gain = nn.Parameter(torch.zeros(()))
        self.emb = MPLinear(emb, outside)
        self.skip = MPConv(inside, outside, 1) if inside != outside else None
        self.res0 = MPConv(inside if decoder else outside, outside, 3)
        self.res1 = MPConv(outside, outside, 3)
        self.attention = Attention(outside, head, 0.3) if attention else None

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        if self.resample == "down":
            # An odd size (7 -> 4) keeps its last row and column: the window there is smaller.
            x = F.avg_pool2d(x, 2, ceil_mode=True)
        elif self.resample == "up":
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        if not self.decoder:
            if self.skip is not None:
                x = self.skip(x)
            x = pixel_norm(x)
        y = self.res0(F.silu(x), SILU_GAIN)
        c = (self.emb(emb, self.emb_gain) + 1).to(y.dtype)
        y = F.silu(y * c[:, :, None, None])
        if self.dropout:
            y = F.dropout(y, self.dropout, self.training)
        y = self.res1(y, SILU_GAIN)
        if self.decoder and self.skip is not None:
            x = self.skip(x)
        x = mp_sum(x, y, 0.3)
        return self.attention(x) if self.attention is not None else x


@final
class MPUNet(nn.Module):
    """EDM2's network: ``(x [B, C, H, W], t [B], cond) -> [B, out, H, W]``, float32 out, zero at initialisation.

    Args:
        channels: of the input. ``out_channels`` defaults to the same.
        widths: channels at each resolution, finest first; each next resolution is half the former (rounded up).
        blocks: residual blocks per resolution in the encoder (one more in the decoder).
        attention: the indices of ``widths`` that get attention; ``head`` is the width of a head.
        classes: number of class labels (``cond["label"]``, -1 or absent for none); 0 for an unconditional network.
        patch: pixels are gathered in patch x patch blocks first: 28 x 28 x 1 runs as 14 x 14 x 4 at patch 2.
        dropout: in the residual branches.
        bandwidth: of the features of t: 1 suits EDM's ln(sigma)/4; a t that runs to 1000 needs about 1/250.
    """

    def __init__(
        self,
        *,
        channels: int,
        out_channels: int | None = None,
        widths: tuple[int, ...] = (64, 128),
        blocks: int = 2,
        attention: tuple[int, ...] = (1,),
        head: int = 64,
        classes: int = 0,
        patch: int = 1,
        dropout: float = 0.0,
        bandwidth: float = 1.0,
    ):
        super().__init__()
        if not widths or blocks < 1 or patch < 1:
            raise UsageError(f"MPUNet needs widths, blocks >= 1 and patch >= 1; got {widths}, {blocks} and {patch}")
        if any(not 0 <= a < len(widths) for a in attention):
            raise UsageError(
                f"attention names resolutions by index into widths (0 .. {len(widths) - 1}), got {attention}"
            )
        self.channels, self.classes, self.patch = channels, classes, patch
        emb = max(widths)
        self.fourier = MPFourier(widths[0], bandwidth)
        self.emb_noise = MPLinear(widths[0], emb)
        self.emb_label = MPLinear(classes, emb) if classes else None
        pixels = patch * patch
        self.stem = MPConv(channels * pixels + 1, widths[0], 3)  # one more channel of ones stands in for a bias
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        skips, width = [widths[0]], widths[0]
        for level, w in enumerate(widths):
            if level:
                self.encoder.append(Block(width, width, emb, resample="down", dropout=dropout))
                skips.append(width)
            for _ in range(blocks):
                self.encoder.append(Block(width, w, emb, attention=level in attention, head=head, dropout=dropout))
                width = w
                skips.append(width)
        last = len(widths) - 1
        for level in range(last, -1, -1):
            w = widths[level]
            if level == last:
                self.decoder.append(Block(width, width, emb, decoder=True, attention=True, head=head, dropout=dropout))
                self.decoder.append(Block(width, width, emb, decoder=True, dropout=dropout))
            else:
                self.decoder.append(Block(width, width, emb, decoder=True, resample="up", dropout=dropout))
            for _ in range(blocks + 1):
                inside = width + skips.pop()
                self.decoder.append(
                    Block(inside, w, emb, decoder=True, attention=level in attention, head=head, dropout=dropout)
                )
                width = w
        self._joins = [isinstance(b, Block) and b.skip is not None and i > 1 for i, b in enumerate(self.decoder)]
        self.out = MPConv(width, (out_channels or channels) * pixels, 3)
        self.out_gain = nn.Parameter(torch.zeros(()))

    def embed(self, t: Tensor, cond: Cond) -> Tensor:
        """The modulation vector of noise level and label, ``[B, emb]``."""
        emb = self.emb_noise(self.fourier(t))
        label = cond.get("label")
        if self.emb_label is not None:
            if label is None:
                label = torch.full((t.shape[0],), -1, device=t.device)
            if int(label.max()) >= self.classes:
                raise UsageError(f"label {int(label.max())} is out of range for a network of {self.classes} classes")
            one_hot = F.one_hot(label.clamp_min(0), self.classes) * (label >= 0)[:, None] * math.sqrt(self.classes)
            emb = mp_sum(emb, self.emb_label(one_hot.to(emb.dtype)), 0.5)
        return F.silu(emb) * SILU_GAIN

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        size = x.shape[-2:]
        if x.shape[1] != self.channels:
            raise UsageError(f"the network takes {self.channels} channels, got {x.shape[1]}")
        fold = self.patch
        if size[0] % fold or size[1] % fold:
            raise UsageError(f"a size of {size[0]} x {size[1]} is not a multiple of patch ({fold})")
        emb = self.embed(t, cond)
        if fold > 1:
            x = F.pixel_unshuffle(x, fold)
        x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1).contiguous(memory_format=torch.channels_last)
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        x = self.stem(x)
        skips = [x]
        for block in self.encoder:
            x = block(x, emb)
            skips.append(x)
        for block, joins in zip(self.decoder, self._joins, strict=True):
            if joins:
                skip = skips.pop()
                x = mp_cat(x, skip)
            x = block(x, emb)
            if block.resample == "up" and x.shape[-2:] != skips[-1].shape[-2:]:
                x = x[..., : skips[-1].shape[-2], : skips[-1].shape[-1]]
        x = self.out(x, self.out_gain).float()
        return F.pixel_shuffle(x, fold) if fold > 1 else x
