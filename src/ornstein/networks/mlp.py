"""A residual MLP for vectors: points in the plane, latents, tables."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.networks.layers.conditioning import Condition, Conditioning
from ornstein.networks.layers.embedding import Embedding, NoiseEmbedding


@final
class MLP(nn.Module):
    r"""``(x [B, D], t [B], cond) -> [B, out]``, float32 out, zero at initialisation: h <- h + W_2 silu(W_1 h + W_e emb).

    Args:
        size: D. ``out_size`` defaults to the same.
        width: of the hidden layers; ``depth`` residual blocks of two layers each.
        embedding: of the noise level: "sinusoidal" for labels of the order of 1000, "fourier" for labels of order 1.
        conditions: what is read from ``cond``; classes and vectors only.
    """

    def __init__(
        self,
        *,
        size: int,
        out_size: int | None = None,
        width: int = 128,
        depth: int = 3,
        embedding: Embedding = "sinusoidal",
        conditions: tuple[Condition, ...] = (),
    ):
        super().__init__()
        out_size = size if out_size is None else out_size
        for field, value in {"size": size, "out_size": out_size, "width": width, "depth": depth}.items():
            if value < 1:
                raise UsageError(f"{field} must be at least 1, got {value}")
        self.size, self.depth = size, depth
        self.conditioning = Conditioning(conditions=conditions, width=width, text_width=width)
        for c in (*self.conditioning.texts, *self.conditioning.images):
            raise UsageError(f"conditions: an MLP takes classes and vectors, not {c}")
        self.noise = NoiseEmbedding(embedding, max(4, width - width % 2), width)
        self.first = nn.Linear(size, width)
        self.emb = nn.Linear(width, depth * width)
        self.inner = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(depth))
        self.outer = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.last = nn.Linear(width, out_size)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.size:
            raise UsageError(f"the network takes [B, {self.size}], got {tuple(x.shape)}")
        emb = F.silu(self.conditioning.add(self.noise(t), cond))
        h = self.first(x.to(self.first.weight.dtype))
        for inner, outer, e in zip(self.inner, self.outer, self.emb(emb).chunk(self.depth, dim=1), strict=True):
            h = h + outer(F.silu(inner(h) + e))
        return self.last(F.silu(h)).to(torch.float32)
