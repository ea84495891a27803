"""DINOv2's vision transformer, in the layout of the published state dicts. Oquab et al. 2023, 2304.07193.

The image is deformed to 224 x 224 and the normalised class token is the feature, as in Stein et al. 2023 (2306.04675), who
recommend it for the evaluation of generative models.
"""

from __future__ import annotations

from pathlib import Path
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.errors import CheckpointError
from ornstein.evaluation.features.extractors import Extractor, Features
from ornstein.evaluation.features.files import fill, read_weights
from ornstein.evaluation.features.transformer import SIZE, attend, depth_of, prepare

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
EPS = 1e-6


class Scale(nn.Module):
    """A learned factor for each channel."""

    def __init__(self, dims: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(dims))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Attention(nn.Module):
    """Queries, keys and values from one product."""

    def __init__(self, dims: int):
        super().__init__()
        self.qkv, self.proj = nn.Linear(dims, 3 * dims), nn.Linear(dims, dims)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(attend(self.qkv(x)))


class MLP(nn.Module):
    """With GELU: sizes S, B, L."""

    def __init__(self, dims: int, hidden: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dims, hidden), nn.Linear(hidden, dims)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class GatedMLP(nn.Module):
    """silu(a) b: size g."""

    def __init__(self, dims: int, hidden: int):
        super().__init__()
        self.w12, self.w3 = nn.Linear(dims, 2 * hidden), nn.Linear(hidden, dims)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.w12(x).chunk(2, -1)
        return self.w3(F.silu(a) * b)


class Block(nn.Module):
    """Normalise first; each branch is scaled."""

    def __init__(self, dims: int, hidden: int, gated: bool):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dims, eps=EPS), nn.LayerNorm(dims, eps=EPS)
        self.ls1, self.ls2 = Scale(dims), Scale(dims)
        self.attn = Attention(dims)
        self.mlp = GatedMLP(dims, hidden) if gated else MLP(dims, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Patches(nn.Module):
    """The image as tokens, under the published name."""

    def __init__(self, dims: int, patch: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dims, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).mT


@final
class Network(nn.Module):
    """``[B, 3, 224, 224]`` normalised -> the normalised class token ``[B, D]``."""

    def __init__(self, dims: int, depth: int, patch: int, positions: int, hidden: int, registers: int, gated: bool):
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, dims))
        self.pos_embed = nn.Parameter(torch.empty(1, positions, dims))
        self.mask_token = nn.Parameter(torch.empty(1, dims))  # of training; here only because files have it
        if registers:
            self.register_tokens = nn.Parameter(torch.empty(1, registers, dims))
        self.registers = registers
        self.patch_embed = Patches(dims, patch)
        self.blocks = nn.ModuleList([Block(dims, hidden, gated) for _ in range(depth)])
        self.norm = nn.LayerNorm(dims, eps=EPS)

    def positions(self, side: int) -> Tensor:
        """The position embeddings, interpolated to ``side`` x ``side`` patches.

        The published models without registers scale by (side + 0.1) / trained side, those with registers by the sizes
        themselves and with antialiasing; the difference is in their features, so it is kept.
        """
        first, grid = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        trained = round(grid.shape[1] ** 0.5)
        if side == trained:
            return self.pos_embed
        grid = grid.reshape(1, trained, trained, -1).permute(0, 3, 1, 2)
        if self.registers:
            grid = F.interpolate(grid, (side, side), mode="bicubic", antialias=True)
        else:
            factor = (side + 0.1) / trained
            grid = F.interpolate(grid, scale_factor=(factor, factor), mode="bicubic")
        return torch.cat([first, grid.flatten(2).mT], 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.positions(round(x.shape[1] ** 0.5))
        if self.registers:
            x = torch.cat([x[:, :1], self.register_tokens.expand(len(x), -1, -1), x[:, 1:]], 1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 0]


@final
class DINOv2Features(Extractor):
    """Every published size, with or without registers, from a file."""

    def __init__(self, file: str | Path, wanted: str | None = None):
        state, self.hash = read_weights(file, wanted)
        depth = depth_of(list(state), "blocks.")
        gated = "blocks.0.mlp.w3.weight" in state
        last = state.get("blocks.0.mlp.w3.weight" if gated else "blocks.0.mlp.fc2.weight")
        if last is None or "patch_embed.proj.weight" not in state or "pos_embed" not in state:
            raise CheckpointError(
                f"{file} does not hold DINOv2 in the published layout (patch_embed.proj, blocks.0.mlp, ...)"
            )
        self.dims, _, patch, _ = state["patch_embed.proj.weight"].shape
        registers = state["register_tokens"].shape[1] if "register_tokens" in state else 0
        self._net = Network(self.dims, depth, patch, state["pos_embed"].shape[1], last.shape[1], registers, gated)
        fill(self._net, state, file, "DINOv2")
        with_registers = f", {registers} registers" if registers else ""
        self.name = f"DINOv2 ViT, {depth} blocks of {self.dims}, patch {patch}{with_registers}"
        self.preprocessing = f"antialiased bicubic to {SIZE}x{SIZE}; ImageNet's mean and std; grey repeated"

    @torch.no_grad()
    def batch(self, x: Tensor) -> Features:
        y = prepare(x, MEAN, STD, crop=False)
        return Features(torch.cat([self._net(part) for part in y.split(50)]))
