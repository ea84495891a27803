"""What an IP-Adapter makes of CLIP's reading of a picture: the few tokens that a network attends to.

Ye et al. 2023, 2308.06721; of the kind "plus" a resampler, Alayrac et al. 2022, 2204.14198.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.errors import CapabilityError, CheckpointError
from ornstein.interop.files.weights import misfits

HEAD = 64
"""Width of a head, which no shape shows"""


def projection(tensors: Mapping[str, Tensor], file: Path) -> Projection | Resampler:
    """The map to tokens that a file's ``image_proj`` holds, in float32.

    Raises:
        CapabilityError: a kind that is not read. CheckpointError: tensors are missing or of other shapes (listed).
    """
    made: Projection | Resampler
    if "proj.weight" in tensors and "norm.weight" in tensors:
        total, inside = tensors["proj.weight"].shape
        made = Projection(inside, total, len(tensors["norm.weight"]))
    elif "latents" in tensors and "layers.0.0.to_q.weight" in tensors:
        made = Resampler(tensors)
    else:
        raise CapabilityError(
            f"{file.name} is no IP-Adapter of the plain kind or of 'plus' (its image_proj has "
            f"{', '.join(sorted(tensors)[:3])}); 'full' and face adapters are not read"
        )
    wrong = misfits(made.state_dict(), dict(tensors))
    if wrong:
        raise CheckpointError(f"the IP-Adapter {file.name} is damaged: image_proj has {wrong}")
    made.load_state_dict({k: v.float() for k, v in tensors.items()})
    return made.requires_grad_(False)


@final
class Projection(nn.Module):
    """CLIP's vector ``[B, D]`` as tokens ``[B, n, width]``: a linear map and a norm."""

    def __init__(self, inside: int, total: int, width: int):
        super().__init__()
        self.inside, self.width, self.tokens = inside, width, total // width
        self.proj, self.norm = nn.Linear(inside, total), nn.LayerNorm(width)

    def forward(self, vector: Tensor) -> Tensor:
        return self.norm(self.proj(vector).reshape(len(vector), self.tokens, -1))

    def look(self, encoder: Any, pixels: Tensor) -> Tensor:
        """CLIP's vector."""
        return encoder(pixels).image_embeds

    def nothing(self, encoder: Any, n: int) -> Tensor:
        """What stands for no picture: a vector of zeros."""
        return torch.zeros(n, self.inside, device=self.proj.weight.device)

    @staticmethod
    def width_of(encoder: Any) -> int:
        """Of what it reads."""
        return int(encoder.config.projection_dim)


@final
class Resampler(nn.Module):
    """The sequence before CLIP's last layer, ``[B, L, D]``, asked by learned queries: tokens ``[B, n, width]``."""

    def __init__(self, tensors: Mapping[str, Tensor]):
        super().__init__()
        shapes = {k: tuple(v.shape) for k, v in tensors.items()}
        if not {"proj_in.weight", "proj_out.weight", "layers.0.1.1.weight"} <= set(shapes):
            raise CheckpointError("the IP-Adapter is damaged: its resampler lacks proj_in, proj_out or its first layer")
        _, self.tokens, inner = shapes["latents"]
        self.inside, self.width = shapes["proj_in.weight"][1], shapes["proj_out.weight"][0]
        attended, wide = shapes["layers.0.0.to_q.weight"][0], shapes["layers.0.1.1.weight"][0]
        depth = 1 + max(int(k.split(".")[1]) for k in shapes if k.startswith("layers."))
        self.latents = nn.Parameter(torch.empty(1, self.tokens, inner))
        self.proj_in, self.proj_out = nn.Linear(self.inside, inner), nn.Linear(inner, self.width)
        self.norm_out = nn.LayerNorm(self.width)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    Asking(inner, attended),
                    nn.Sequential(
                        nn.LayerNorm(inner), nn.Linear(inner, wide, False), nn.GELU(), nn.Linear(wide, inner, False)
                    ),
                ]
            )
            for _ in range(depth)
        )

    def forward(self, sequence: Tensor) -> Tensor:
        x, queries = self.proj_in(sequence), self.latents.expand(len(sequence), -1, -1)
        layer: Any
        for layer in self.layers:
            asking, further = layer
            queries = queries + asking(x, queries)
            queries = queries + further(queries)
        return self.norm_out(self.proj_out(queries))

    def look(self, encoder: Any, pixels: Tensor) -> Tensor:
        """The sequence before the last layer."""
        return encoder(pixels, output_hidden_states=True).hidden_states[-2]

    def nothing(self, encoder: Any, n: int) -> Tensor:
        """What stands for no picture: CLIP's reading of a grey one."""
        side = int(encoder.config.image_size)
        one = torch.zeros(1, 3, side, side, device=self.latents.device)
        return self.look(encoder, one).expand(n, -1, -1)

    @staticmethod
    def width_of(encoder: Any) -> int:
        """Of what it reads."""
        return int(encoder.config.hidden_size)


@final
class Asking(nn.Module):
    """Attention of queries to a sequence and to themselves."""

    def __init__(self, width: int, attended: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_q, self.to_kv = nn.Linear(width, attended, False), nn.Linear(width, 2 * attended, False)
        self.to_out = nn.Linear(attended, width, False)

    def forward(self, x: Tensor, queries: Tensor) -> Tensor:
        x, queries = self.norm1(x), self.norm2(queries)
        k, v = self.to_kv(torch.cat([x, queries], 1)).chunk(2, -1)
        q, k, v = (y.unflatten(-1, (-1, HEAD)).transpose(1, 2) for y in (self.to_q(queries), k, v))
        return self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
