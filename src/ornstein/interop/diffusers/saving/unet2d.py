"""Our U-Net as diffusers' UNet2DModel, where that class can express it: config and weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ornstein.core.errors import CapabilityError
from ornstein.networks.layers.blocks import Block, ConvResample
from ornstein.networks.layers.embedding import Sinusoidal
from ornstein.networks.layers.norm import GroupNorm
from ornstein.networks.unet import UNet

BLOCK = {
    "norm0": "norm1",
    "conv0": "conv1",
    "emb": "time_emb_proj",
    "norm1": "norm2",
    "conv1": "conv2",
    "skip": "conv_shortcut",
}


def refuse(why: str) -> CapabilityError:
    """The error for a network that the class cannot express."""
    return CapabilityError(f"diffusers has no class for this network: {why}")


def expressible(network: nn.Module) -> UNet:
    """The network, if a UNet2DModel can be the same function.

    Raises:
        CapabilityError: it cannot; the message says why.
    """
    if not isinstance(network, UNet):
        raise refuse(
            f"a {type(network).__name__} is none of its architectures; train with architecture=ddpm_cifar10 or iddpm_cifar10, "
            "which are UNet2DModel's"
        )
    if network.patch != 1:
        raise refuse(f"pixels are gathered in {network.patch} x {network.patch} blocks (patch={network.patch})")
    if network.scale != 1 or network.input != "none" or len(network.outs) != 1:
        raise refuse("it scales sums or adds the image at each resolution (DDPM++, NCSN++), which UNet2DModel does not")
    if network.conditioning.texts or network.conditioning.images:
        raise refuse("it reads texts or images, UNet2DModel reads neither")
    if not isinstance(network.noise.features, Sinusoidal):
        raise refuse("its features of the noise level are random frequencies, which UNet2DModel divides its output by")
    if not all(isinstance(m, ConvResample) for m in (*network.down, *network.up)):
        raise refuse("it resamples inside residual blocks (ADM) with a mean of four; UNet2DModel's blocks do otherwise")
    blocks = [m for m in network.modules() if isinstance(m, Block)]
    if any(b.transformer is not None for b in blocks):
        raise refuse("its attention is a transformer block, which belongs to networks that read texts")
    groups = {m.groups for m in network.modules() if isinstance(m, GroupNorm)}
    if len(groups) != 1:
        raise refuse(
            f"its group norms have {', '.join(map(str, sorted(groups)))} groups, UNet2DModel has one number for all "
            "(widths of at least 128 that are multiples of 32 have 32 everywhere)"
        )
    for encoder, decoder in zip(network.encoder, reversed(network.decoder), strict=True):
        both = [b.attention is not None for b in (*encoder.children(), *decoder.children())]
        if len(set(both)) != 1:
            raise refuse("a resolution attends in some of its blocks only; UNet2DModel's attend in all or none")
    return network


def config_of(network: UNet, size: tuple[int, int]) -> dict[str, Any]:
    """The arguments of a UNet2DModel that is the same function."""
    encoder: list[list[Any]] = [list(stage.children()) for stage in network.encoder]
    widths = [stage[0].conv1.weight.shape[0] for stage in encoder]
    attends = [stage[0].attention is not None for stage in encoder]
    middle: Any = next(network.middle.children())
    base = network.stem.weight.shape[0]
    if base != widths[0]:
        raise refuse(
            f"its first convolution has {base} channels and its first level {widths[0]}; there they are one number"
        )
    per_head = {
        m.attention.qkv.weight.shape[1] // m.attention.heads
        for m in network.modules()
        if isinstance(m, Block) and m.attention is not None
    }
    single = middle.attention.heads == 1
    if not single and len(per_head) != 1:
        raise refuse("its attention heads differ in width")
    outs: Any = network.outs
    return {
        "sample_size": size[0] if size[0] == size[1] else list(size),
        "in_channels": network.stem.weight.shape[1],
        "out_channels": outs[0][2].weight.shape[0],
        "center_input_sample": False,
        "time_embedding_type": "positional",
        "freq_shift": 1,
        "flip_sin_to_cos": True,
        "down_block_types": ["AttnDownBlock2D" if a else "DownBlock2D" for a in attends],
        "up_block_types": ["AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)],
        "block_out_channels": widths,
        "layers_per_block": len(encoder[0]),
        "downsample_padding": 1,
        "act_fn": "silu",
        "attention_head_dim": None if single else next(iter(per_head)),
        "norm_num_groups": middle.norm0.groups,
        "attn_norm_num_groups": middle.norm0.groups,
        "norm_eps": middle.norm0.eps,
        "resnet_time_scale_shift": "default" if middle.modulation == "shift" else "scale_shift",
        "dropout": middle.dropout,
    }


def weights_of(network: UNet, constant: Tensor) -> dict[str, Tensor]:
    r"""The weights under UNet2DModel's names.

    ``constant [width]`` is what the conditions add to the embedding of the noise level: it goes into a bias. Ours is told step
    n = 1 .. T where diffusers' is told n - 1; with features (cos f k, sin f k) the step of one is a rotation of each pair, and so
    the first linear map takes it: W (R phi) = (W R) phi.
    """
    out: dict[str, Tensor] = {}

    def put(name: str, module: nn.Module | None) -> None:
        if module is not None:
            out.update({f"{name}.{k}": v.detach() for k, v in module.state_dict().items()})

    def put_block(ours: Any, place: str, j: int) -> None:
        for mine, theirs in BLOCK.items():
            put(f"{place}.resnets.{j}.{theirs}", getattr(ours, mine))
        if ours.attention is not None:
            head = f"{place}.attentions.{j}"
            put(f"{head}.group_norm", ours.attention.norm)
            qkv = ours.attention.qkv
            for i, name in enumerate("qkv"):
                width = qkv.weight.shape[1]
                out[f"{head}.to_{name}.weight"] = qkv.weight.detach()[i * width : (i + 1) * width].flatten(1)
                out[f"{head}.to_{name}.bias"] = qkv.bias.detach()[i * width : (i + 1) * width]
            out[f"{head}.to_out.0.weight"] = ours.attention.project.weight.detach().flatten(1)
            out[f"{head}.to_out.0.bias"] = ours.attention.project.bias.detach()

    put("conv_in", network.stem)
    put("time_embedding.linear_1", network.noise.first)
    put("time_embedding.linear_2", network.noise.second)
    features: Any = network.noise.features
    out["time_embedding.linear_1.weight"] = _told_one_less(network.noise.first.weight.detach(), features.frequencies)
    out["time_embedding.linear_2.bias"] = network.noise.second.bias.detach() + constant
    for level, stage in enumerate(network.encoder):
        for j, block in enumerate(stage.children()):
            put_block(block, f"down_blocks.{level}", j)
        if level < len(network.down):
            put(f"down_blocks.{level}.downsamplers.0.conv", network.down[level].conv)  # type: ignore[arg-type]
    for j, block in enumerate(network.middle.children()):
        put_block(block, "mid_block", j)
    for i, stage in enumerate(network.decoder):
        for j, block in enumerate(stage.children()):
            put_block(block, f"up_blocks.{i}", j)
        if i < len(network.up):
            put(f"up_blocks.{i}.upsamplers.0.conv", network.up[i].conv)  # type: ignore[arg-type]
    last: Any = network.outs[0]
    put("conv_norm_out", last[0])
    put("conv_out", last[2])
    return out


def _told_one_less(weight: Tensor, frequencies: Tensor) -> Tensor:
    f = frequencies.double()
    cos, sin = f.cos(), f.sin()
    a, b = weight.double().chunk(2, dim=1)
    assert a.shape[1] == len(f) and math.isclose(float(f[0]), 1.0, rel_tol=1e-6)
    return torch.cat([a * cos + b * sin, b * cos - a * sin], 1).to(weight.dtype)
