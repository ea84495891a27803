"""Configs of a single file's parts, read off the shapes of its tensors.

What shapes do not show is convention: 32 groups; 8 heads in Stable Diffusion 1, heads of 64 afterwards (an encoder's too).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ornstein.core.errors import CapabilityError, CheckpointError
from ornstein.interop.files.clip_names import depth
from ornstein.interop.files.unet_names import Layout

Tensors = Mapping[str, Tensor]
HEAD = 64
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000}


def size_of(tensors: Tensors, name: str) -> tuple[int, ...]:
    """The shape of a tensor that must be there.

    Raises:
        CheckpointError: it is not.
    """
    if name not in tensors:
        raise CheckpointError(f"the file lacks the tensor {name}")
    return tuple(tensors[name].shape)


def unet_config(tensors: Tensors, family: str, sample: int) -> dict[str, Any]:
    """A UNet2DConditionModel's config from the original layout (without prefix)."""
    layout = Layout.of_original(tensors)
    levels = len(layout.attention)
    first = [1 + level * (layout.layers + 1) for level in range(levels)]
    widths = [size_of(tensors, f"input_blocks.{n}.0.out_layers.3.weight")[0] for n in first]
    depths = [_depth(tensors, f"input_blocks.{n}.1") if layout.attention[i] else 1 for i, n in enumerate(first)]
    attending = first[layout.attention.index(True)] if True in layout.attention else None
    if attending is None:
        raise CapabilityError("a U-Net without attention to a text is no Stable Diffusion network")
    width = size_of(tensors, f"input_blocks.{attending}.1.transformer_blocks.0.attn2.to_k.weight")[1]
    flat = len(size_of(tensors, f"input_blocks.{attending}.1.proj_in.weight")) == 2
    heads: int | list[int] = 8 if family == "sd1" else [max(c // HEAD, 1) for c in widths]
    config: dict[str, Any] = {
        "_class_name": "UNet2DConditionModel",
        "sample_size": sample,
        "in_channels": size_of(tensors, "input_blocks.0.0.weight")[1],
        "out_channels": size_of(tensors, "out.2.weight")[0],
        "layers_per_block": layout.layers,
        "block_out_channels": widths,
        "down_block_types": ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in layout.attention],
        "up_block_types": ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(layout.attention)],
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "cross_attention_dim": width,
        # diffusers calls the number of heads so.
        "attention_head_dim": heads,
        "use_linear_projection": flat,
        "norm_num_groups": 32,
    }
    if "label_emb.0.0.weight" in tensors:
        middle = _depth(tensors, "middle_block.1")
        if depths[-1] != middle and layout.attention[-1]:
            raise CapabilityError(f"the middle has {middle} transformer blocks where the last level has {depths[-1]}")
        if not layout.attention[-1]:
            depths[-1] = middle
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": size_of(tensors, "label_emb.0.0.weight")[1],
        }
    if any(d != 1 for d in depths):
        config["transformer_layers_per_block"] = depths
    return config


def _depth(tensors: Tensors, prefix: str) -> int:
    head = f"{prefix}.transformer_blocks."
    return 1 + max((int(k[len(head) :].split(".")[0]) for k in tensors if k.startswith(head)), default=0)


def vae_config(tensors: Tensors, scale: float, sample: int) -> dict[str, Any]:
    """An AutoencoderKL's config from the original layout."""
    levels = 1 + max((int(k.split(".")[2]) for k in tensors if k.startswith("encoder.down.")), default=-1)
    layers = 1 + max((int(k.split(".")[4]) for k in tensors if k.startswith("encoder.down.0.block.")), default=-1)
    if levels < 1 or layers < 1:
        raise CheckpointError("the file lacks the autoencoder's encoder (first_stage_model.encoder.down)")
    widths = [size_of(tensors, f"encoder.down.{i}.block.0.conv2.weight")[0] for i in range(levels)]
    return {
        "_class_name": "AutoencoderKL",
        "in_channels": size_of(tensors, "encoder.conv_in.weight")[1],
        "out_channels": size_of(tensors, "decoder.conv_out.weight")[0],
        "latent_channels": size_of(tensors, "post_quant_conv.weight")[0],
        "layers_per_block": layers,
        "block_out_channels": widths,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "norm_num_groups": 32,
        "sample_size": sample,
        "scaling_factor": scale,
    }


def encoder_config(tensors: Tensors, act: str, projects: bool) -> dict[str, Any]:
    """A CLIP text encoder's config from transformers' layout (with the prefix ``text_model.``)."""
    words, width = size_of(tensors, "text_model.embeddings.token_embedding.weight")
    config = {
        "architectures": ["CLIPTextModelWithProjection" if projects else "CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": size_of(tensors, "text_model.encoder.layers.0.mlp.fc1.weight")[0],
        "num_hidden_layers": depth(tensors),
        "num_attention_heads": max(width // HEAD, 1),
        "max_position_embeddings": size_of(tensors, "text_model.embeddings.position_embedding.weight")[0],
        "hidden_act": act,
        "layer_norm_eps": 1e-5,
        # CLIP's two marks are the last words of its list.
        "bos_token_id": words - 2,
        "eos_token_id": words - 1,
        "pad_token_id": 1 if act == "quick_gelu" else 0,
    }
    if projects:
        config["projection_dim"] = size_of(tensors, "text_projection.weight")[0]
    else:
        config["projection_dim"] = width
    return config


def scheduler_config(family: str, prediction: str) -> dict[str, Any]:
    """The steps that a family is published with."""
    if family == "sdxl":
        return {
            "_class_name": "EulerDiscreteScheduler",
            **BETAS,
            "interpolation_type": "linear",
            "prediction_type": prediction,
            "steps_offset": 1,
            "timestep_spacing": "leading",
            "use_karras_sigmas": False,
        }
    return {
        "_class_name": "DDIMScheduler",
        **BETAS,
        "clip_sample": False,
        "prediction_type": prediction,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }
