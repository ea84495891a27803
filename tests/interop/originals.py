"""Small random checkpoints of the shapes that single files have: the conventions that shapes do not show are kept.

Heads of 64 in encoders, 32 groups, 8 heads in the U-Net of Stable Diffusion 1, heads of 64 in that of 2 and SDXL.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import diffusers
import torch

from interop.checkpoints import SD, tokenizer

WIDTH = 64


def _encoder(words: Any, act: str, layers: int, projects: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        intermediate_size=80,
        num_attention_heads=1,
        num_hidden_layers=layers,
        max_position_embeddings=16,
        hidden_act=act,
        projection_dim=WIDTH,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    return (CLIPTextModelWithProjection if projects else CLIPTextModel)(config)


def _vae(scale: float) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=32,
        latent_channels=4,
        scaling_factor=scale,
        sample_size=16,
    )


def _unet(family: str, channels: int) -> Any:
    # SDXL attends where the picture is small, its forerunners everywhere but there.
    downs, ups = ("DownBlock2D", "CrossAttnDownBlock2D"), ("CrossAttnUpBlock2D", "UpBlock2D")
    head: Any = 8 if family == "sd1" else (1, 1)
    more: dict[str, Any] = {}
    if family == "sdxl":
        more = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 6 * 256 + WIDTH,
            "transformer_layers_per_block": [1, 2],
        }
    return diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=channels,
        layers_per_block=1,
        block_out_channels=(32, 64),
        down_block_types=downs if family == "sdxl" else downs[::-1],
        up_block_types=ups if family == "sdxl" else ups[::-1],
        cross_attention_dim=2 * WIDTH if family == "sdxl" else WIDTH,
        attention_head_dim=head,
        norm_num_groups=32,
        use_linear_projection=family != "sd1",
        **more,
    )


def original(path: Path, family: str = "sd1", channels: int = 4) -> Path:
    """The folder of a pipeline of ``family`` that a single file can hold."""
    torch.manual_seed(0)
    words = tokenizer(path.parent / "pieces")
    common = {"tokenizer": words, "unet": _unet(family, channels)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if family == "sdxl":
            diffusers.StableDiffusionXLPipeline(
                vae=_vae(0.13025),
                text_encoder=_encoder(words, "quick_gelu", 2),
                text_encoder_2=_encoder(words, "gelu", 3, projects=True),
                tokenizer_2=words,
                scheduler=diffusers.EulerDiscreteScheduler(**SD, timestep_spacing="leading"),
                **common,
            ).save_pretrained(path)
        else:
            prediction = "v_prediction" if family == "sd2" else "epsilon"
            diffusers.StableDiffusionPipeline(
                vae=_vae(0.18215),
                text_encoder=_encoder(words, "quick_gelu" if family == "sd1" else "gelu", 2),
                scheduler=diffusers.DDIMScheduler(
                    **SD, clip_sample=False, set_alpha_to_one=False, prediction_type=prediction
                ),
                safety_checker=None,
                feature_extractor=None,
                requires_safety_checker=False,
                **common,
            ).save_pretrained(path)
    return path


def stripped(path: Path, target: Path) -> Path:
    """A single file as others write it: without our header, and with the tensors that theirs carry along."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    for prefix in ("cond_stage_model.transformer.", "conditioner.embedders.0.transformer."):
        if any(k.startswith(prefix) for k in tensors):
            tensors[prefix + "text_model.embeddings.position_ids"] = torch.arange(16)[None]
    if any("joint_blocks" in k or "double_blocks" in k for k in tensors):
        tensors["text_encoders.clip_l.logit_scale"] = torch.tensor(4.6)
        tensors["text_encoders.clip_l.transformer.text_model.embeddings.position_ids"] = torch.arange(16)[None]
    else:
        tensors["alphas_cumprod"] = torch.linspace(1, 0, 1000)
    head = "cond_stage_model.model."
    if any(k.startswith(head) for k in tensors):
        # OpenCLIP's own last layer, which Stable Diffusion 2 does not read.
        last = 1 + max(int(k.split(".")[4]) for k in tensors if k.startswith(head + "transformer.resblocks."))
        copies = {k: v for k, v in tensors.items() if f".resblocks.{last - 1}." in k}
        tensors |= {k.replace(f".{last - 1}.", f".{last}."): v + 1 for k, v in copies.items()}
        tensors[head + "logit_scale"] = torch.tensor(4.6)
    save_file(tensors, target, {"format": "pt"})
    return target


def sharded(part: Path, pieces: int = 3) -> None:
    """Divide a part's weights among files with an index."""
    from safetensors.torch import load_file, save_file

    file = next(part.glob("*.safetensors"))
    tensors = load_file(file)
    names = sorted(tensors)
    where = {n: f"{file.stem}-{i % pieces + 1:05d}-of-{pieces:05d}.safetensors" for i, n in enumerate(names)}
    for target in set(where.values()):
        save_file({n: tensors[n] for n in names if where[n] == target}, part / target, {"format": "pt"})
    total = sum(v.numel() * v.element_size() for v in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": where}
    (part / f"{file.name}.index.json").write_text(json.dumps(index))
    file.unlink()
