"""DiT: a transformer on patches with adaLN-Zero (Peebles & Xie 2023, 2212.09748)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError, unknown
from ornstein.core.perturb import Perturbable, Perturbation
from ornstein.core.reuse import Inner, Reusable
from ornstein.networks.layers.attention import attend, check_head
from ornstein.networks.layers.conditioning import Condition, Conditioning, Text
from ornstein.networks.layers.embedding import Embedding, NoiseEmbedding
from ornstein.networks.layers.precision import compute_dtype


@lru_cache(maxsize=16)
def positions(height: int, width: int, size: int) -> Tensor:
    """Fixed sine and cosine features of row and column, ``[height * width, size]``; ``size`` a multiple of four."""
    omega = torch.exp(-math.log(10000) * torch.arange(size // 4, dtype=torch.float64, device="cpu") / (size // 4))
    row, column = torch.meshgrid(torch.arange(height, device="cpu"), torch.arange(width, device="cpu"), indexing="ij")
    angles = [torch.outer(axis.flatten().double(), omega) for axis in (column, row)]
    return torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], dim=1).float()


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm without weights, then x (1 + scale) + shift, both ``[B, 1, D]``."""
    x = F.layer_norm(x, x.shape[-1:], eps=1e-6)
    return torch.addcmul(shift.to(x.dtype), x, 1 + scale.to(x.dtype))


@final
class DiTBlock(nn.Module, Perturbable):
    """Attention, optional cross-attention to a text, MLP; each branch is shifted, scaled and gated by the embedding."""

    def __init__(self, width: int, head: int, ratio: float, cross: bool):
        super().__init__()
        self.heads = check_head("DiT", width, head)
        hidden = int(width * ratio)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp0, self.mlp1 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.cross_q = nn.Linear(width, width) if cross else None
        self.cross_kv = nn.Linear(width, 2 * width) if cross else None
        self.cross_project = nn.Linear(width, width) if cross else None
        for layer in (self.qkv, self.project, self.mlp0, self.mlp1, self.cross_q, self.cross_kv):
            if layer is not None:
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        for layer in (self.modulation, self.cross_project):
            if layer is not None:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    @property
    def perturbations(self) -> tuple[Perturbation, ...]:
        return ("identity", "skip")

    def forward(self, x: Tensor, emb: Tensor, mask: Tensor | None, text: Text | None) -> Tensor:
        if self.perturbation == "skip":
            return x
        b, n, d = x.shape
        shape = (self.heads, d // self.heads)
        shift0, scale0, gate0, shift1, scale1, gate1 = self.modulation(emb)[:, None].to(x.dtype).chunk(6, dim=-1)
        q, k, v = self.qkv(modulate(x, shift0, scale0)).reshape(b, n, 3, *shape).permute(2, 0, 3, 1, 4)
        y = v if self.perturbation == "identity" else attend(q, k, v, mask)
        x = torch.addcmul(x, gate0, self.project(y.transpose(1, 2).reshape(b, n, d)).to(x.dtype))
        if (
            self.cross_q is not None
            and self.cross_kv is not None
            and self.cross_project is not None
            and text is not None
        ):
            q = self.cross_q(F.layer_norm(x, (d,), eps=1e-6)).reshape(b, n, *shape).transpose(1, 2)
            k, v = self.cross_kv(text.tokens.to(x.dtype)).reshape(b, -1, 2, *shape).permute(2, 0, 3, 1, 4)
            x = x + self.cross_project(attend(q, k, v, text.mask).transpose(1, 2).reshape(b, n, d)).to(x.dtype)
        y = self.mlp1(F.gelu(self.mlp0(modulate(x, shift1, scale1)), approximate="tanh"))
        return torch.addcmul(x, gate1, y.to(x.dtype))


@final
class DiT(nn.Module, Reusable):
    """``(x [B, C, H, W], t [B], cond) -> [B, out, H, W]``, float32 out, zero at initialisation; any size divisible by patch.

    Args:
        channels: of the input. ``out_channels`` defaults to the same (twice as many where variances are learned).
        patch: side of a token in pixels.
        width: of the tokens; ``depth`` blocks with heads of width ``head`` and an MLP ``ratio`` times as wide.
        embedding: of the noise level, 256 features.
        conditions: what is read from ``cond``; images are further channels.
        text: how a text enters: "cross" attention in every block, or its tokens before those of the image ("tokens").
    """

    def __init__(
        self,
        *,
        channels: int,
        out_channels: int | None = None,
        patch: int = 2,
        width: int = 384,
        depth: int = 12,
        head: int = 64,
        ratio: float = 4.0,
        embedding: Embedding = "sinusoidal",
        conditions: tuple[Condition, ...] = (),
        text: Literal["cross", "tokens"] = "cross",
    ):
        super().__init__()
        out_channels = channels if out_channels is None else out_channels
        positive = {"channels": channels, "out_channels": out_channels, "patch": patch, "width": width, "depth": depth}
        for field, value in positive.items():
            if value < 1:
                raise UsageError(f"{field} must be at least 1, got {value}")
        if width % 4:
            raise UsageError(f"width must be a multiple of 4 for the position features, got {width}")
        if not ratio > 0:
            raise UsageError(f"ratio must be positive, got {ratio}")
        if text not in ("cross", "tokens"):
            raise unknown("text", text, ("cross", "tokens"))
        self.channels, self.patch, self.text = channels, patch, text
        self.noise = NoiseEmbedding(embedding, 256, width)
        for layer in (self.noise.first, self.noise.second):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        self.conditioning = Conditioning(conditions=conditions, width=width, text_width=width)
        self.stem = nn.Linear((channels + self.conditioning.image_channels) * patch**2, width)
        nn.init.xavier_uniform_(self.stem.weight)
        nn.init.zeros_(self.stem.bias)
        cross = bool(self.conditioning.texts) and text == "cross"
        self.blocks = nn.ModuleList(DiTBlock(width, head, ratio, cross) for _ in range(depth))
        self.modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, out_channels * patch**2)
        for layer in (self.modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @property
    def no_inner(self) -> str:
        return "" if len(self.blocks) > 2 else "it needs at least three blocks (depth)"

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND, inner: Inner | None = None) -> Tensor:
        (height, width), p = x.shape[-2:], self.patch
        if x.shape[1] != self.channels:
            raise UsageError(f"the network takes {self.channels} channels, got {x.shape[1]}")
        if height % p or width % p:
            raise UsageError(f"a size of {height} x {width} is not a multiple of patch ({p})")
        emb = F.silu(self.conditioning.add(self.noise(t), cond))
        text = self.conditioning.text(cond, x)
        x = F.pixel_unshuffle(self.conditioning.attach(x, cond), p) if p > 1 else self.conditioning.attach(x, cond)
        tokens = self.stem(x.to(compute_dtype(x, self.stem.weight)).flatten(2).transpose(1, 2))
        tokens = tokens + positions(height // p, width // p, tokens.shape[-1]).to(tokens)
        mask, before = None, 0
        if text is not None and self.text == "tokens":
            before = text.tokens.shape[1]
            mask = torch.cat([text.mask, text.mask.new_ones(tokens.shape[:2])], dim=1)
            tokens = torch.cat([text.tokens.to(tokens.dtype), tokens], dim=1)
        # The inner part is the middle half of the blocks, and what is kept is what they add to the tokens.
        edge = max(1, len(self.blocks) // 4)
        known = None if inner is None else inner.value
        entered = tokens
        for i, block in enumerate(self.blocks):
            if i == edge:
                entered = tokens
            if i == len(self.blocks) - edge and inner is not None:
                tokens = tokens if known is None else entered + known
                inner.value = tokens - entered if known is None else known
            if known is None or not edge <= i < len(self.blocks) - edge:
                tokens = block(tokens, emb, mask, text)
        shift, scale = self.modulation(emb)[:, None].chunk(2, dim=-1)
        y = self.out(modulate(tokens[:, before:], shift, scale))
        y = y.float().transpose(1, 2).unflatten(2, (height // p, width // p))
        return F.pixel_shuffle(y, p) if p > 1 else y
