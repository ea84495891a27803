r"""The network of the first diffusion models: convolutions at several scales beside a dense part, read out by bumps in time."""

from __future__ import annotations

from itertools import pairwise
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.networks.layers.conditioning import Condition, Conditioning


@final
class MultiScaleConv(nn.Module):
    """Averages over 1, 2, 4, .. pixels, each convolved and brought back to full size; their sum, rectified."""

    def __init__(self, channels: int, width: int, scales: int):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels, width, 3, padding=1) for _ in range(scales))

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor | None = None
        for level, conv in enumerate(self.convs):
            small = F.avg_pool2d(x, 2**level) if level else x
            out = conv(small)
            if level:
                out = F.interpolate(out, scale_factor=2**level, mode="nearest")
            total = out if total is None else total + out
        assert total is not None
        return F.leaky_relu(total, 0.05)


@final
class MultiScale(nn.Module):
    r"""``(x [B, C, S, S], t [B], cond) -> [B, out, S, S]``, float32 out: sum_k g_k(t) y_k, y of each pixel from x alone.

    The bumps g_k are Gaussians at equal distances over [0, 1000], the range of t, normalised to sum to 1. Below them ``convs``
    layers at ``scales`` scales and ``dense`` layers on the whole image meet in layers of 1 x 1. Sohl-Dickstein et al. 2015,
    appendix D.2, with the sizes of the released code. Conditions, which the paper has none of, are added to the dense part.

    Raises:
        UsageError: a size that cannot be halved ``scales - 1`` times, or below 1.
    """

    centres: Tensor

    def __init__(
        self,
        *,
        size: int,
        channels: int = 3,
        out_channels: int | None = None,
        width: int = 20,
        convs: int = 4,
        scales: int = 3,
        dense_width: int = 500,
        dense: int = 4,
        bumps: int = 10,
        conditions: tuple[Condition, ...] = (),
    ):
        super().__init__()
        least = {"size": (size, 1), "width": (width, 1), "convs": (convs, 1), "scales": (scales, 1)}
        for name, (value, low) in (least | {"dense": (dense, 2), "bumps": (bumps, 2)}).items():
            if value < low:
                raise UsageError(f"{name} must be at least {low}, got {value}")
        if size % 2 ** (scales - 1):
            raise UsageError(f"size {size} is not a multiple of {2 ** (scales - 1)}, which {scales} scales need")
        self.size, self.bumps, self.out = size, bumps, channels if out_channels is None else out_channels
        self.conditioning = Conditioning(conditions=conditions, width=dense_width, text_width=dense_width)
        for c in (*self.conditioning.texts, *self.conditioning.images):
            raise UsageError(f"conditions: this network takes classes and vectors, not {c}")
        self.convs = nn.ModuleList(MultiScaleConv(channels if i == 0 else width, width, scales) for i in range(convs))
        wide = [channels * size**2, *[dense_width] * (dense - 1)]
        self.dense = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(wide))
        self.spread = nn.Linear(wide[-1], 2 * size**2)  # two numbers for each pixel
        self.mixed = nn.Conv2d(width + 2, width, 1)
        self.read = nn.Conv2d(width, bumps * self.out, 1)
        for parameter in self.read.parameters():
            nn.init.zeros_(parameter)
        self.register_buffer("centres", torch.linspace(0, 1000, bumps), persistent=False)

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        if x.ndim != 4 or x.shape[-2:] != (self.size, self.size):
            raise UsageError(f"the network takes [B, C, {self.size}, {self.size}], got {tuple(x.shape)}")
        h = x.to(self.read.weight.dtype)
        g = h.flatten(1)
        for conv in self.convs:
            h = conv(h)
        for layer in self.dense:
            g = F.leaky_relu(layer(g), 0.05)
        g = self.conditioning.add(g, cond)
        g = F.leaky_relu(self.spread(g), 0.05).reshape(len(x), 2, self.size, self.size)
        y = self.read(F.leaky_relu(self.mixed(torch.cat([h, g], 1)), 0.05))
        gap = 1000 / (self.bumps - 1)
        weight = (-0.5 * ((t.float()[:, None] - self.centres) / gap) ** 2).softmax(1).to(y.dtype)
        out: Tensor = torch.einsum("bk,bkchw->bchw", weight, y.unflatten(1, (self.bumps, self.out)))
        return out.float()
