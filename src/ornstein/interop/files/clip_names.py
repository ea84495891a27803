"""Text encoders: OpenCLIP's layout (Stable Diffusion 2, the second encoder of SDXL) and that of transformers.

CLIP's own encoder (Stable Diffusion 1, the first of SDXL) lies in single files as transformers names it. OpenCLIP keeps
query, key and value in one matrix and the projection transposed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ornstein.interop.files.rename import Names, Pairs, renamed

LAYER: Pairs = [
    ("ln_1", "layer_norm1"),
    ("ln_2", "layer_norm2"),
    ("attn.out_proj", "self_attn.out_proj"),
    ("mlp.c_fc", "mlp.fc1"),
    ("mlp.c_proj", "mlp.fc2"),
]
_JOINED = re.compile(r"transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)$")
_PARTS = ("q_proj", "k_proj", "v_proj")
PREFIX = "text_model."


def clip_names(layers: int) -> Names:
    """The table of modules; the joined matrices and the projection are not in it."""
    pairs: Pairs = [
        ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
        ("token_embedding", "text_model.embeddings.token_embedding"),
        ("ln_final", "text_model.final_layer_norm"),
    ]
    for i in range(layers):
        pairs += [(f"transformer.resblocks.{i}.{a}", f"text_model.encoder.layers.{i}.{b}") for a, b in LAYER]
    return Names(pairs)


def clip_there(tensors: Mapping[str, Tensor], layers: int, projects: bool) -> tuple[dict[str, Tensor], list[str]]:
    """OpenCLIP -> transformers, of the first ``layers`` layers; ``projects`` keeps the projection."""
    out, left = renamed(tensors, clip_names(layers))
    for name in list(left):
        if (found := _JOINED.match(name)) and int(found[1]) < layers:
            for part, value in zip(_PARTS, tensors[name].chunk(3), strict=True):
                out[f"text_model.encoder.layers.{found[1]}.self_attn.{part}.{found[2]}"] = value.clone()
            left.remove(name)
        elif name == "text_projection" and projects:
            out["text_projection.weight"] = tensors[name].t().contiguous()
            left.remove(name)
    return out, left


def clip_back(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """transformers -> OpenCLIP."""
    layers = depth(tensors)
    out, left = renamed(tensors, clip_names(layers), back=True)
    for i in range(layers):
        for kind in ("weight", "bias"):
            names = [f"text_model.encoder.layers.{i}.self_attn.{part}.{kind}" for part in _PARTS]
            if all(n in tensors for n in names):
                out[f"transformer.resblocks.{i}.attn.in_proj_{kind}"] = torch.cat([tensors[n] for n in names])
                left = [n for n in left if n not in names]
    if "text_projection.weight" in left:
        out["text_projection"] = tensors["text_projection.weight"].t().contiguous()
        left.remove("text_projection.weight")
    return out, left


def depth(tensors: Mapping[str, Tensor]) -> int:
    """How many layers there are, in either layout."""
    found = (re.search(r"(?:resblocks|encoder\.layers)\.(\d+)\.", n) for n in tensors)
    return 1 + max((int(m[1]) for m in found if m), default=-1)


def prefixed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With the prefix ``text_model.``, which transformers 5 leaves out of the files it writes."""
    if any(k.startswith(PREFIX) for k in tensors):
        return dict(tensors)
    return {k if k.startswith("text_projection") else PREFIX + k: v for k, v in tensors.items()}


def bare(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without that prefix."""
    return {k.removeprefix(PREFIX): v for k, v in tensors.items()}
