r"""CSDI's network: attention over time within each column, and over the columns at each time.

Tashiro et al. 2021, 2107.03502, appendix E.1. Differences, none of which changes what it can express: the side information is
projected before it is spread over the grid (a linear map of a concatenation is a sum of linear maps), and a cell that is
neither given nor sought is marked by a second mask. One that does: blocks that see what is known and no noise (``context``)
can stand before the others. What they find out is side information of every cell, the same at all noise levels and in all
draws of a window, so that many draws need it once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.networks.layers.attention import attend
from ornstein.networks.layers.embedding import NoiseEmbedding
from ornstein.networks.series.inputs import Clock, told


@final
class Encoder(nn.Module):
    """A transformer layer over the last axis but one of ``[.., N, C]``, normalised after each part. Vaswani et al. 2017."""

    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.first, self.second = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor, axis: int) -> Tensor:
        """``x [B, K, L, C]``; attends along ``axis``: 2 is time, 1 the columns."""
        b, k, n, c = x.shape
        qkv = self.qkv(x).reshape(b, k, n, 3, self.heads, c // self.heads)
        # to [3, B, other axis, heads, axis, D]; the tensors stay where they are, only their strides change
        order = (3, 0, 1, 4, 2, 5) if axis == 2 else (3, 0, 2, 4, 1, 5)
        q, key, v = (part.flatten(0, 1) for part in qkv.permute(order).contiguous())
        mixed = attend(q, key, v).reshape(b, x.shape[3 - axis], self.heads, x.shape[axis], c // self.heads)
        back = (0, 1, 3, 2, 4) if axis == 2 else (0, 3, 1, 2, 4)
        x = self.norm_1(x + self.out(mixed.permute(back).reshape(b, k, n, c)))
        return self.norm_2(x + self.second(F.gelu(self.first(x))))


@final
class GridBlock(nn.Module):
    """+ noise level, time, columns, side information, gate; a residual and a skip."""

    def __init__(self, width: int, heads: int, hidden: int, noise: int, columns: int, feature: int, context: bool):
        super().__init__()
        self.noise = nn.Linear(noise, width) if noise else None
        self.over_time = Encoder(width, heads, hidden)
        self.over_columns = Encoder(width, heads, hidden) if columns > 1 else None
        self.middle = nn.Linear(width, 2 * width)
        self.column, self.mask = nn.Linear(feature, 2 * width, bias=False), nn.Linear(1, 2 * width, bias=False)
        self.context = nn.Linear(width, 2 * width, bias=False) if context else None
        self.out = nn.Linear(width, 2 * width)

    def forward(
        self,
        x: Tensor,
        clock: Tensor,
        columns: Tensor,
        given: Tensor,
        noise: Tensor | None = None,
        context: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        h = x if self.noise is None else x + self.noise(noise)[:, None, None]
        h = self.over_time(h, 2)
        if self.over_columns is not None:
            h = self.over_columns(h, 1)
        side = clock[:, None] + self.column(columns)[None] + self.mask(given)
        h = self.middle(h) + (side if self.context is None else side + self.context(context))
        gate, value = h.chunk(2, -1)
        # In bf16 a CPU's sigmoid goes through a strided view number by number, eight times as slow.
        residual, skip = self.out(torch.sigmoid(gate.contiguous()) * torch.tanh(value)).chunk(2, -1)
        return (x + residual) * math.sqrt(0.5), skip


@final
class GridTransformer(nn.Module):
    """``(x [B, K, L], t [B], cond) -> [B, K, L]``; t of the order of 1000; conditions as in
    :mod:`ornstein.networks.series.inputs`.

    Args:
        columns: K.
        calendar, static, classes: widths of those conditions, 0 where there are none.
        width, heads, layers, hidden: of the transformers; the paper has 64, 8, 4, 64.
        placed: time and column enter before the first block as well; in the paper they enter behind each block's attention,
            so that the first attends without knowing when and where a value was.
        context: blocks on what is known, before ``layers`` blocks on the noisy state; the paper has none.
    """

    def __init__(
        self,
        columns: int,
        *,
        calendar: int = 0,
        static: int = 0,
        classes: int = 0,
        width: int = 64,
        heads: int = 4,
        layers: int = 4,
        hidden: int = 64,
        noise: int = 128,
        feature: int = 16,
        placed: bool = True,
        context: int = 0,
    ):
        super().__init__()
        if width % heads:
            raise UsageError(f"width ({width}) must be a multiple of heads ({heads})")
        self.columns, self.layers = columns, layers
        self.enter = nn.Linear(6, width)
        self.noise = NoiseEmbedding("sinusoidal", noise, noise)
        self.label = nn.Embedding(classes + 1, noise) if classes else None
        self.parts = [2 * width] * (layers + context) + [width] * placed
        self.clock = Clock(sum(self.parts), calendar, static)
        self.feature = nn.Parameter(torch.randn(columns, feature))
        self.place = nn.Linear(feature, width, bias=False) if placed else None
        self.blocks = nn.ModuleList(
            GridBlock(width, heads, hidden, noise, columns, feature, context > 0) for _ in range(layers)
        )
        self.before = nn.ModuleList(GridBlock(width, heads, hidden, 0, columns, feature, False) for _ in range(context))
        self.see = nn.Linear(5, width) if context else None
        self.grasp = nn.Linear(width, width) if context else None
        self.last, self.leave = nn.Linear(width, width), nn.Linear(width, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        if x.ndim != 3 or x.shape[1] != self.columns:
            raise UsageError(f"the network takes series [B, {self.columns}, L], got {tuple(x.shape)}")
        cells = told(x, cond)
        known = torch.stack(
            torch.broadcast_tensors(cells.values, cells.given, cells.sought, cells.anchor, cells.unit), -1
        )
        noise = self.noise(t)
        if self.label is not None:
            label = cond["label"] if "label" in cond else torch.full((len(x),), -1, device=x.device)
            noise = noise + self.label(label + 1)
        noise = F.silu(noise)
        clocks = self.clock(x, cond).split(self.parts, -1)
        place = None if self.place is None else clocks[-1][:, None] + self.place(self.feature)[:, None]
        given, columns = cells.given[..., None], self.feature[:, None]
        context = None
        if self.see is not None and self.grasp is not None:
            h = F.relu(self.see(known))
            found = self._through(self.before, h if place is None else h + place, clocks[self.layers :], columns, given)
            context = F.relu(self.grasp(found))
        noisy = (cells.sought * x)[..., None]
        h = F.relu(self.enter(torch.cat([noisy, known.expand(len(x), -1, -1, -1)], -1)))
        h = h if place is None else h + place
        found = self._through(self.blocks, h, clocks, columns, given, noise, context)
        return self.leave(F.relu(self.last(found))).squeeze(-1)

    def _through(
        self,
        blocks: nn.ModuleList,
        h: Tensor,
        clocks: Sequence[Tensor],
        columns: Tensor,
        given: Tensor,
        noise: Tensor | None = None,
        context: Tensor | None = None,
    ) -> Tensor:
        """The blocks' skips together."""
        total: Tensor | None = None
        for block, clock in zip(blocks, clocks[: len(blocks)], strict=True):
            h, skip = block(h, clock, columns, given, noise, context)
            total = skip if total is None else total + skip
        assert total is not None
        return total / math.sqrt(len(blocks))
