"""The U-Net of Stable Diffusion: the original layout (numbered blocks) and diffusers' (blocks by level).

The original numbers its blocks through: every residual block and every down-sampling is one of ``input_blocks``; in
``output_blocks`` an up-sampling is the last part of its level's last block (Rombach et al. 2022, the published code).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ornstein.interop.files.rename import Names, Pairs

RESNET: Pairs = [
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("skip_connection", "conv_shortcut"),
]
ENDS: Pairs = [
    ("time_embed.0", "time_embedding.linear_1"),
    ("time_embed.2", "time_embedding.linear_2"),
    ("label_emb.0.0", "add_embedding.linear_1"),
    ("label_emb.0.2", "add_embedding.linear_2"),
    ("input_blocks.0.0", "conv_in"),
    ("out.0", "conv_norm_out"),
    ("out.2", "conv_out"),
]


@dataclass(frozen=True)
class Layout:
    """What decides the names: residual blocks per level, and which levels attend."""

    layers: int
    attention: tuple[bool, ...]

    @classmethod
    def of_diffusers(cls, names: Iterable[str]) -> Layout:
        """Read from names in diffusers' layout."""
        found = [re.match(r"down_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.", n) for n in names]
        parts = {(int(m[1]), m[2], int(m[3])) for m in found if m}
        levels = 1 + max(p[0] for p in parts)
        layers = 1 + max(p[2] for p in parts)
        return cls(layers, tuple((level, "attentions", 0) in parts for level in range(levels)))

    @classmethod
    def of_original(cls, names: Iterable[str]) -> Layout:
        """Read from names in the original layout."""
        blocks: dict[int, str] = {}
        for name in names:
            if m := re.match(r"input_blocks\.(\d+)\.(0\.op|0|1)\.", name):
                number = int(m[1])
                kind = {"0.op": "down", "0": "plain", "1": "attention"}[m[2]]
                if blocks.get(number) != "attention":
                    blocks[number] = kind
        kinds = [blocks[i] for i in sorted(blocks) if i > 0]
        layers = kinds.index("down") if "down" in kinds else len(kinds)
        return cls(layers, tuple(kind == "attention" for kind in kinds[:: layers + 1]))


def unet_names(layout: Layout) -> Names:
    """The table of a U-Net's modules, original and diffusers'."""
    levels, layers = len(layout.attention), layout.layers
    pairs = list(ENDS)

    def block(theirs: str, ours: str, attends: bool, j: int) -> None:
        pairs.extend((f"{theirs}.0.{a}", f"{ours}.resnets.{j}.{b}") for a, b in RESNET)
        if attends:
            pairs.append((f"{theirs}.1", f"{ours}.attentions.{j}"))

    number = 1
    for level in range(levels):
        for j in range(layers):
            block(f"input_blocks.{number}", f"down_blocks.{level}", layout.attention[level], j)
            number += 1
        if level < levels - 1:
            pairs.append((f"input_blocks.{number}.0.op", f"down_blocks.{level}.downsamplers.0.conv"))
            number += 1
    for i, j in ((0, 0), (2, 1)):
        pairs += [(f"middle_block.{i}.{a}", f"mid_block.resnets.{j}.{b}") for a, b in RESNET]
    pairs.append(("middle_block.1", "mid_block.attentions.0"))
    number = 0
    for up in range(levels):
        attends = layout.attention[levels - 1 - up]
        for j in range(layers + 1):
            block(f"output_blocks.{number}", f"up_blocks.{up}", attends, j)
            if j == layers and up < levels - 1:
                pairs.append((f"output_blocks.{number}.{1 + attends}.conv", f"up_blocks.{up}.upsamplers.0.conv"))
            number += 1
    return Names(pairs)
