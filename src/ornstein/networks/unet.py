"""The U-Net family with group norm: DDPM, ADM, DDPM++ and NCSN++ are settings of one network.

Ho et al. 2020 (2006.11239), Song et al. 2021 (2011.13456), Dhariwal & Nichol 2021 (2105.05233), in the common form that
Karras et al. 2022 (2206.00364, table 7) gave them. The settings of each are in :mod:`ornstein.networks.presets`.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError, unknown
from ornstein.core.reuse import Inner, Reusable
from ornstein.networks.layers.blocks import Block, ConvResample, Modulation, conv
from ornstein.networks.layers.conditioning import Condition, Conditioning
from ornstein.networks.layers.embedding import Embedding, NoiseEmbedding
from ornstein.networks.layers.norm import GroupNorm
from ornstein.networks.layers.precision import compute_dtype
from ornstein.networks.layers.resample import Filter, Resample


def _choice(field: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise unknown(field, value, known)


def crop(x: Tensor, like: Tensor) -> Tensor:
    """The upper left part of ``x`` at the size of ``like``: odd sizes were rounded up on the way down."""
    return x if x.shape[-2:] == like.shape[-2:] else x[..., : like.shape[-2], : like.shape[-1]]


@final
class UNet(nn.Module, Reusable):
    """``(x [B, C, H, W], t [B], cond) -> [B, out, H, W]``, float32 out, zero at initialisation.

    Args:
        channels: of the input. ``out_channels`` defaults to the same (twice as many where variances are learned).
        widths: channels at each resolution, finest first; each next resolution is half the former (rounded up).
        base: channels of the first convolution, a quarter of the embedding's width; ``widths[0]`` by default.
        blocks: residual blocks per resolution in the encoder (one more in the decoder).
        attention: the indices of ``widths`` that get attention; ``head`` is the width of a head, 0 for a single head.
        decoder_attention: attention in "all" blocks of these resolutions or in the "last" one (DDPM++, NCSN++).
        resample: in a "block" of its own, or by a "conv" between blocks (DDPM); ``filter`` is used by blocks.
        project_resampled: a 1 x 1 convolution on the skip path of a resampling block (DDPM++, NCSN++; not in ADM).
        modulation: how the embedding enters a block: "shift" or "scale_shift".
        scale_sums: divide sums of two branches by sqrt(2) (DDPM++, NCSN++).
        input: NCSN++'s progressive input: the image itself, made smaller, is added at each resolution, through 1 x 1
            convolutions ("skip") or as a residual branch ("residual").
        output: the same for the output ("skip"): each resolution gives an image, they are made larger and added.
        embedding: of the noise level; ``embedding_factor`` times ``base`` features.
        conditions: what is read from ``cond``.
        patch: pixels are gathered in patch x patch blocks first: 28 x 28 x 1 runs as 14 x 14 x 4 at patch 2.
        dropout: in the residual branches.
        transformer: attention is latent diffusion's transformer block (self-attention, text, gated unit).
        text_width: of the text's tokens in the attentions; by default that of the embedding.
    """

    def __init__(
        self,
        *,
        channels: int,
        out_channels: int | None = None,
        widths: tuple[int, ...] = (64, 128),
        base: int | None = None,
        blocks: int = 2,
        attention: tuple[int, ...] = (1,),
        head: int = 64,
        decoder_attention: Literal["all", "last"] = "all",
        resample: Literal["block", "conv"] = "block",
        filter: Filter = "box",
        project_resampled: bool = False,
        modulation: Modulation = "scale_shift",
        scale_sums: bool = False,
        input: Literal["none", "skip", "residual"] = "none",
        output: Literal["none", "skip"] = "none",
        embedding: Embedding = "sinusoidal",
        embedding_factor: int = 1,
        conditions: tuple[Condition, ...] = (),
        patch: int = 1,
        dropout: float = 0.0,
        transformer: bool = False,
        text_width: int | None = None,
    ):
        super().__init__()
        out_channels = channels if out_channels is None else out_channels
        if not widths or min(widths) < 1:
            raise UsageError(f"widths must hold at least one positive width, got {widths}")
        base = widths[0] if base is None else base
        positive = {
            "channels": channels,
            "base": base,
            "out_channels": out_channels,
            "blocks": blocks,
            "patch": patch,
            "embedding_factor": embedding_factor,
        }
        for field, value in positive.items():
            if value < 1:
                raise UsageError(f"{field} must be at least 1, got {value}")
        if head < 0:
            raise UsageError(f"head must be a width, or 0 for one head of all channels; got {head}")
        if not 0 <= dropout < 1:
            raise UsageError(f"dropout must be in [0, 1), got {dropout}")
        if any(not 0 <= a < len(widths) for a in attention):
            raise UsageError(
                f"attention names resolutions by index into widths (0 .. {len(widths) - 1}), got {attention}"
            )
        _choice("decoder_attention", decoder_attention, ("all", "last"))
        _choice("resample", resample, ("block", "conv"))
        _choice("modulation", modulation, ("shift", "scale_shift"))
        _choice("input", input, ("none", "skip", "residual"))
        _choice("output", output, ("none", "skip"))
        self.channels, self.patch, self.input = channels, patch, input
        self.scale = math.sqrt(0.5) if scale_sums else 1.0
        emb = 4 * base
        last = len(widths) - 1
        self.noise = NoiseEmbedding(embedding, embedding_factor * base, emb)
        self.conditioning = Conditioning(conditions=conditions, width=emb, text_width=text_width or emb)
        text = (text_width or emb) if self.conditioning.texts else 0
        seen = (channels + self.conditioning.image_channels) * patch**2
        shown = out_channels * patch**2

        block = partial(
            Block,
            emb=emb,
            filter=filter,
            project=project_resampled,
            modulation=modulation,
            scale=self.scale,
            dropout=dropout,
            head=head,
            text=text,
            transformer=transformer,
        )

        def resampler(direction: Literal["down", "up"], width: int) -> Block | ConvResample:
            return ConvResample(direction, width) if resample == "conv" else block(width, width, resample=direction)

        self.stem = conv(seen, base, 3)
        self.shrink, self.grow = Resample("down", filter), Resample("up", filter)
        self.down, self.encoder, self.input_convs = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        skips, width, image = [base], base, seen
        for level, w in enumerate(widths):
            if level:
                self.down.append(resampler("down", width))
                skips.append(width)
                if input != "none":
                    self.input_convs.append(conv(image, width, 1 if input == "skip" else 3))
                    image = seen if input == "skip" else width
            stage: list[nn.Module] = []
            for _ in range(blocks):
                stage.append(block(width, w, attention=level in attention))
                width = w
                skips.append(width)
            self.encoder.append(nn.ModuleList(stage))
        self.middle = nn.ModuleList([block(width, width, attention=True), block(width, width)])
        self.up, self.decoder, self.outs = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level in range(last, -1, -1):
            if level < last:
                self.up.append(resampler("up", width))
            stage = []
            for i in range(blocks + 1):
                attends = level in attention and (decoder_attention == "all" or i == blocks)
                stage.append(block(width + skips.pop(), widths[level], attention=attends))
                width = widths[level]
            self.decoder.append(nn.ModuleList(stage))
            if output == "skip" or level == 0:
                self.outs.append(nn.Sequential(GroupNorm(width), nn.SiLU(), conv(width, shown, 3, zero=True)))

    def _encode(self, x: Tensor, emb: Tensor, text: Any, outer: bool) -> list[Tensor]:
        image, x = x, self.stem(x)
        skips = [x]
        for level, stage in enumerate(self.encoder):
            if level and outer:
                break
            if level:
                x = self.down[level - 1](x, emb, text)
                if self.input == "skip":
                    image = self.shrink(image)
                    x = x + self.input_convs[level - 1](image)
                elif self.input == "residual":
                    image = x = (x + self.shrink(self.input_convs[level - 1](image))) * self.scale
                skips.append(x)
            for block in stage.children():
                x = block(x, emb, text)
                skips.append(x)
        return skips

    def _decode(self, skips: list[Tensor], emb: Tensor, text: Any, inner: Inner | None) -> Tensor:
        x, image, last = skips[-1], None, len(self.decoder) - 1
        known = None if inner is None else inner.value
        for block in self.middle if known is None else ():
            x = block(x, emb, text)
        for i, stage in enumerate(self.decoder):
            if i < last and known is not None:
                continue
            if i:
                x = crop(self.up[i - 1](x, emb, text), skips[-1]) if known is None else known
            if i == last and inner is not None:
                inner.value = x
            for block in stage.children():
                x = block(torch.cat([x, skips.pop()], dim=1), emb, text)
            if len(self.outs) == len(self.decoder):
                shown = self.outs[i](x)
                image = shown if image is None else crop(self.grow(image), shown) + shown
        return self.outs[0](x) if image is None else image

    @property
    def no_inner(self) -> str:
        if len(self.outs) > 1:
            return "each of its resolutions adds to the output"
        return "" if len(self.encoder) > 1 else "it needs at least two resolutions (widths)"

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND, inner: Inner | None = None) -> Tensor:
        size, fold = x.shape[-2:], self.patch
        if x.shape[1] != self.channels:
            raise UsageError(f"the network takes {self.channels} channels, got {x.shape[1]}")
        if size[0] % fold or size[1] % fold:
            raise UsageError(f"a size of {size[0]} x {size[1]} is not a multiple of patch ({fold})")
        emb = F.silu(self.conditioning.add(self.noise(t), cond))
        text = self.conditioning.text(cond, x)
        x = self.conditioning.attach(x, cond)
        if fold > 1:
            x = F.pixel_unshuffle(x, fold)
        x = x.to(compute_dtype(x, self.stem.weight))
        if x.device.type == "cpu":
            x = x.contiguous()  # see GroupNorm
        skips = self._encode(x, emb, text, outer=inner is not None and inner.value is not None)
        x = self._decode(skips, emb, text, inner).float()
        return F.pixel_shuffle(x, fold) if fold > 1 else x
