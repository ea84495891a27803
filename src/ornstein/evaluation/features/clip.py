"""CLIP's image tower (vision transformers), in the layout of the published state dicts. Radford et al. 2021, 2103.00020."""

from __future__ import annotations

from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.errors import CheckpointError
from ornstein.evaluation.features.extractors import Extractor, Features
from ornstein.evaluation.features.files import fill, read_weights
from ornstein.evaluation.features.transformer import SIZE, attend, depth_of, prepare

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


class Attention(nn.Module):
    """Names as in ``torch.nn.MultiheadAttention``."""

    def __init__(self, dims: int):
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dims, dims))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * dims))
        self.out_proj = nn.Linear(dims, dims)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_proj(attend(nn.functional.linear(x, self.in_proj_weight, self.in_proj_bias)))


class MLP(nn.Module):
    """With x sigmoid(1.702 x), the quick stand-in for GELU that CLIP was trained with."""

    def __init__(self, dims: int):
        super().__init__()
        self.c_fc = nn.Linear(dims, 4 * dims)
        self.c_proj = nn.Linear(4 * dims, dims)

    def forward(self, x: Tensor) -> Tensor:
        h = self.c_fc(x)
        return self.c_proj(h * torch.sigmoid(1.702 * h))


class Block(nn.Module):
    """Normalise first."""

    def __init__(self, dims: int):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(dims), nn.LayerNorm(dims)
        self.attn, self.mlp = Attention(dims), MLP(dims)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Blocks(nn.Module):
    """A chain of them, under the published name."""

    def __init__(self, dims: int, depth: int):
        super().__init__()
        self.resblocks = nn.ModuleList([Block(dims) for _ in range(depth)])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.resblocks:
            x = block(x)
        return x


@final
class Tower(nn.Module):
    """``[B, 3, 224, 224]`` normalised -> embeddings ``[B, E]``, not yet of unit length."""

    def __init__(self, dims: int, depth: int, patch: int, tokens: int, out: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, dims, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(dims))
        self.positional_embedding = nn.Parameter(torch.empty(tokens, dims))
        self.ln_pre, self.ln_post = nn.LayerNorm(dims), nn.LayerNorm(dims)
        self.transformer = Blocks(dims, depth)
        self.proj = nn.Parameter(torch.empty(dims, out))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x).flatten(2).mT
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], 1) + self.positional_embedding
        return self.ln_post(self.transformer(self.ln_pre(x))[:, 0]) @ self.proj


@final
class CLIPFeatures(Extractor):
    """ViT image towers at 224 from a file; a state dict of the whole model is taken too, its ``visual.`` part."""

    def __init__(self, file: str | Path, wanted: str | None = None):
        state, self.hash = read_weights(file, wanted)
        if any(k.startswith("visual.") for k in state):
            state = {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")}
        depth = depth_of(list(state), "transformer.resblocks.")
        if not depth or "conv1.weight" not in state or "proj" not in state or "positional_embedding" not in state:
            raise CheckpointError(
                f"{file} does not hold CLIP's vision transformer in the published layout (visual.conv1, ...)"
            )
        dims, _, patch, _ = state["conv1.weight"].shape
        tokens = len(state["positional_embedding"])
        if tokens != (SIZE // patch) ** 2 + 1:
            raise CheckpointError(f"{file} is a CLIP of another size than {SIZE}x{SIZE} pixels: it has {tokens} tokens")
        self.dims = state["proj"].shape[1]
        self._net = Tower(dims, depth, patch, tokens, self.dims)
        fill(self._net, state, file, "CLIP's vision transformer")
        self.name = f"CLIP ViT, {depth} blocks of {dims}, patch {patch}"
        self.preprocessing = (
            f"antialiased bicubic, shorter side to {SIZE}, centre crop; CLIP's mean and std; grey repeated"
        )

    @torch.no_grad()
    def batch(self, x: Tensor) -> Features:
        y = prepare(x, MEAN, STD, crop=True)
        return Features(torch.cat([self._net(part) for part in y.split(50)]))
