r"""The magnitude-preserving U-Net of EDM2 (Karras et al. 2024, 2312.02696, config G).

Every learned layer keeps the expected magnitude of its input: weights are normalised per output, non-linearities, sums and
concatenations are rescaled, and there is neither bias nor group norm. That also makes it quick on a CPU, where group norm is
the slow part of other U-Nets.
"""

from __future__ import annotations

import math
from functools import partial
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.perturb import Perturbable, Perturbation
from ornstein.core.reuse import Inner, Reusable
from ornstein.networks.layers.conditioning import (
    ClassCondition,
    Condition,
    ImageCondition,
    Text,
    TextCondition,
    VectorCondition,
    check_conditions,
    of_kind,
    read_class,
    read_image,
    read_text,
    read_vector,
)
from ornstein.networks.layers.magnitude import (
    SILU_GAIN,
    MPAttention,
    MPConv,
    MPCrossAttention,
    MPFourier,
    MPLinear,
    mp_cat,
    pixel_norm,
    sum_weights,
)
from ornstein.networks.layers.precision import compute_dtype

RESIDUAL = 0.3
"""the share of the residual branch in a block's sum"""


@final
class Block(nn.Module, Perturbable):
    """One residual block of the encoder or the decoder; figure 21."""

    def __init__(
        self,
        inside: int,
        outside: int,
        emb: int,
        *,
        decoder: bool = False,
        joins: bool = False,
        resample: str = "keep",
        attention: bool = False,
        head: int = 64,
        text: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.decoder, self.joins, self.resample, self.dropout = decoder, joins, resample, dropout
        self.keep, self.gain = sum_weights(RESIDUAL)
        self.emb_gain = nn.Parameter(torch.zeros(()))
        self.emb = MPLinear(emb, outside)
        self.skip = MPConv(inside, outside, 1) if inside != outside else None
        self.res0 = MPConv(inside if decoder else outside, outside, 3)
        self.res1 = MPConv(outside, outside, 3)
        self.attention = MPAttention(outside, head, RESIDUAL) if attention else None
        self.text = MPCrossAttention(outside, head, RESIDUAL, text) if attention and text else None

    @property
    def perturbations(self) -> tuple[Perturbation, ...]:
        return ("skip",) if self.skip is None and self.resample == "keep" else ()

    def forward(self, x: Tensor, emb: Tensor, text: Text | None) -> Tensor:
        if self.perturbation == "skip":
            return x
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
        y = self.res1(y, SILU_GAIN * self.gain)
        if self.decoder and self.skip is not None:
            x = self.skip(x)
        x = torch.add(y, x, alpha=self.keep)
        if self.attention is not None:
            x = self.attention(x)
        if self.text is not None and text is not None:
            x = self.text(x, text)
        # Half precision ends at 65504; nothing well-behaved comes near the limit.
        return x.clamp(-256, 256) if x.dtype == torch.float16 else x


@final
class MPUNet(nn.Module, Reusable):
    """EDM2's network: ``(x [B, C, H, W], t [B], cond) -> [B, out, H, W]``, float32 out, zero at initialisation.

    Args:
        channels: of the input. ``out_channels`` defaults to the same.
        widths: channels at each resolution, finest first; each next resolution is half the former (rounded up).
        blocks: residual blocks per resolution in the encoder (one more in the decoder).
        attention: the indices of ``widths`` that get attention; ``head`` is the width of a head, by default the largest
            that divides both 64 and their channels. The first block of the
            decoder always has it.
        conditions: what is read from ``cond``. A missing class or vector adds nothing to the embedding, a missing image
            is zero, a missing text is one learned token.
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
        head: int | None = None,
        conditions: tuple[Condition, ...] = (),
        patch: int = 1,
        dropout: float = 0.0,
        bandwidth: float = 1.0,
    ):
        super().__init__()
        if not widths or min(widths) < 1:
            raise UsageError(f"widths must hold at least one positive width, got {widths}")
        for field, value in (
            ("channels", channels),
            ("out_channels", channels if out_channels is None else out_channels),
        ):
            if value < 1:
                raise UsageError(f"{field} must be at least 1, got {value}")
        if blocks < 1 or patch < 1:
            raise UsageError(f"blocks and patch must be at least 1, got {blocks} and {patch}")
        if not 0 <= dropout < 1:
            raise UsageError(f"dropout must be in [0, 1), got {dropout}")
        if any(not 0 <= a < len(widths) for a in attention):
            raise UsageError(
                f"attention names resolutions by index into widths (0 .. {len(widths) - 1}), got {attention}"
            )
        check_conditions(conditions)
        self.channels, self.patch, self.conditions = channels, patch, conditions
        emb = max(widths)
        self.fourier = MPFourier(widths[0], bandwidth)
        self.emb_noise = MPLinear(widths[0], emb)
        for c in conditions:
            if isinstance(c, ClassCondition | VectorCondition):
                self.add_module(f"emb_{c.name}", MPLinear(c.classes if isinstance(c, ClassCondition) else c.width, emb))
        texts = of_kind(conditions, TextCondition)
        if len(texts) > 1:
            raise UsageError(f"MPUNet attends to one text; conditions declares {', '.join(c.name for c in texts)}")
        text = texts[0].width if texts else 0
        self.null_text = nn.Parameter(torch.randn(text)) if texts else None
        seen = channels + sum(c.channels for c in of_kind(conditions, ImageCondition))
        pixels = patch * patch
        self.stem = MPConv(seen * pixels + 1, widths[0], 3)  # one more channel of ones stands in for a bias

        if head is None:
            head = math.gcd(64, widths[-1], *(widths[a] for a in attention))
        block = partial(Block, emb=emb, head=head, text=text, dropout=dropout)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        self.outer = 0 if len(widths) == 1 else blocks
        """blocks of the encoder at the finest resolution, with one more in the decoder: what is around the inner part"""
        skips, width = [widths[0]], widths[0]
        for level, w in enumerate(widths):
            if level:
                self.encoder.append(block(width, width, resample="down"))
                skips.append(width)
            for _ in range(blocks):
                self.encoder.append(block(width, w, attention=level in attention))
                width = w
                skips.append(width)
        last = len(widths) - 1
        for level in range(last, -1, -1):
            w = widths[level]
            if level == last:
                self.decoder.append(block(width, width, decoder=True, attention=True))
                self.decoder.append(block(width, width, decoder=True))
            else:
                self.decoder.append(block(width, width, decoder=True, resample="up"))
            for _ in range(blocks + 1):
                self.decoder.append(
                    block(width + skips.pop(), w, decoder=True, joins=True, attention=level in attention)
                )
                width = w
        self.out = MPConv(width, (out_channels or channels) * pixels, 3)
        self.out_gain = nn.Parameter(torch.zeros(()))

    @property
    def no_inner(self) -> str:
        return "" if self.outer else "it needs at least two resolutions (widths)"

    def embed(self, t: Tensor, cond: Cond, dtype: torch.dtype) -> Tensor:
        """The modulation vector of noise level, classes and vectors, ``[B, emb]``."""
        parts = [self.emb_noise(self.fourier(t).to(dtype))]
        for c in self.conditions:
            if isinstance(c, ClassCondition):
                label = read_class(c, cond, t)
                features = F.one_hot(label.clamp_min(0), c.classes) * (label >= 0)[:, None] * math.sqrt(c.classes)
            elif isinstance(c, VectorCondition):
                value = read_vector(c, cond, torch.zeros(c.width, device=t.device), t)
                features = value if c.plain else F.rms_norm(value, (c.width,), eps=1e-4)
            else:
                continue
            parts.append(self.get_submodule(f"emb_{c.name}")(features.to(dtype)))
        emb = parts[0]
        for part in parts[1:]:
            emb = emb + part
        return F.silu(emb / math.sqrt(len(parts))) * SILU_GAIN

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND, inner: Inner | None = None) -> Tensor:
        size, fold = x.shape[-2:], self.patch
        if x.shape[1] != self.channels:
            raise UsageError(f"the network takes {self.channels} channels, got {x.shape[1]}")
        if size[0] % fold or size[1] % fold:
            raise UsageError(f"a size of {size[0]} x {size[1]} is not a multiple of patch ({fold})")
        dtype = compute_dtype(x, self.out_gain)
        emb = self.embed(t, cond, dtype)
        text = None
        for c in self.conditions:
            if isinstance(c, ImageCondition):
                x = torch.cat([x, read_image(c, cond, torch.zeros(c.channels, device=x.device), x).to(x.dtype)], dim=1)
            elif isinstance(c, TextCondition) and self.null_text is not None:
                tokens, mask = read_text(c, cond, self.null_text, x)
                text = Text(F.rms_norm(tokens, tokens.shape[-1:], eps=1e-4), mask)
        if fold > 1:
            x = F.pixel_unshuffle(x, fold)
        x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1).to(dtype, memory_format=torch.channels_last)
        x = self.stem(x)
        skips = [x]
        known, last = None if inner is None else inner.value, len(self.decoder) - self.outer - 1
        for block in self.encoder if known is None else self.encoder[: self.outer]:
            x = block(x, emb, text)
            skips.append(x)
        if known is not None:
            x = known
        for i, block in enumerate(self.decoder):
            if i < last and known is not None:
                continue
            if i == last and inner is not None:
                inner.value = x
            if block.joins:
                skip = skips.pop()
                # An odd size was rounded up on the way down.
                x = mp_cat(x[..., : skip.shape[-2], : skip.shape[-1]], skip)
            x = block(x, emb, text)
        x = self.out(x, self.out_gain).float()
        return F.pixel_shuffle(x, fold) if fold > 1 else x
