"""The autoencoder of Stable Diffusion: the original layout and diffusers'.

The original counts the decoder's levels from the finest, diffusers' from the coarsest; its attention is made of 1 x 1
convolutions where diffusers' has linear maps, so that those four weights change their shape as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from ornstein.interop.files.rename import Names, Pairs, renamed

RESNET: Pairs = [("nin_shortcut", "conv_shortcut")]
ATTENTION: Pairs = [("norm", "group_norm"), ("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")]
OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""How folders of 2022 call the parts of the attention"""
_LINEAR = re.compile(r"mid_block\.attentions\.0\.to_(q|k|v|out\.0)\.weight$")


def vae_names(levels: int, layers: int) -> Names:
    """The table of an autoencoder's modules; ``layers`` residual blocks per level (one more in the decoder)."""
    pairs: Pairs = [("quant_conv", "quant_conv"), ("post_quant_conv", "post_quant_conv")]

    def block(theirs: str, ours: str) -> None:
        pairs.extend([(theirs, ours), *((f"{theirs}.{a}", f"{ours}.{b}") for a, b in RESNET)])

    for side, further in (("encoder", 0), ("decoder", 1)):
        pairs += [(f"{side}.{a}", f"{side}.{b}") for a, b in (("conv_in", "conv_in"), ("conv_out", "conv_out"))]
        pairs.append((f"{side}.norm_out", f"{side}.conv_norm_out"))
        for i, j in ((1, 0), (2, 1)):
            block(f"{side}.mid.block_{i}", f"{side}.mid_block.resnets.{j}")
        pairs += [(f"{side}.mid.attn_1.{a}", f"{side}.mid_block.attentions.0.{b}") for a, b in ATTENTION]
        for level in range(levels):
            down = side == "encoder"
            theirs = f"{side}.{'down' if down else 'up'}.{level}"
            place = level if down else levels - 1 - level
            ours = f"{side}.{'down' if down else 'up'}_blocks.{place}"
            for j in range(layers + further):
                block(f"{theirs}.block.{j}", f"{ours}.resnets.{j}")
            if down and level < levels - 1:
                pairs.append((f"{theirs}.downsample.conv", f"{ours}.downsamplers.0.conv"))
            if not down and level > 0:
                pairs.append((f"{theirs}.upsample.conv", f"{ours}.upsamplers.0.conv"))
    return Names(pairs)


def vae_there(tensors: Mapping[str, Tensor], names: Names) -> tuple[dict[str, Tensor], list[str]]:
    """Original -> diffusers; also the names that have no place."""
    out, left = renamed(tensors, names)
    return {k: v.flatten(1) if _LINEAR.search(k) and v.ndim == 4 else v for k, v in out.items()}, left


def vae_back(tensors: Mapping[str, Tensor], names: Names) -> tuple[dict[str, Tensor], list[str]]:
    """Diffusers -> original."""
    shaped = {k: v[:, :, None, None] if _LINEAR.search(k) and v.ndim == 2 else v for k, v in tensors.items()}
    return renamed(shaped, names, back=True)


def modern(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of 2022's folders as today's classes have them; other names stay."""
    out = {}
    for name, value in tensors.items():
        found = re.match(r"(.*\.attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)$", name)
        if found:
            value = value.flatten(1) if value.ndim == 4 else value
            name = f"{found[1]}.{OLD[found[2]]}.{found[3]}"
        out[name] = value
    return out
