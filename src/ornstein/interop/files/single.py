"""One ``.safetensors`` file in the original layout, both ways: Stable Diffusion 1, 2 and SDXL; the door to the others.

A file that was written here keeps the small files of its folder (configs, tokenizers) in its header, so that the way back gives
them unchanged. For another's file the configs are inferred, and the tokenizer must be found on this disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from ornstein.core.errors import CapabilityError, CheckpointError, UsageError
from ornstein.interop.files import infer, transformer_single
from ornstein.interop.files.bundle import INDEX, Bundle, whole
from ornstein.interop.files.clip_names import bare, clip_back, clip_there, depth, prefixed
from ornstein.interop.files.rename import renamed, within
from ornstein.interop.files.tokenizer import tokenizer_files
from ornstein.interop.files.unet_names import Layout, unet_names
from ornstein.interop.files.vae_names import vae_back, vae_names, vae_there

UNET, VAE = "model.diffusion_model.", "first_stage_model."
HEADER = "ornstein.pipeline"


@dataclass(frozen=True)
class Family:
    """Where a family keeps its encoders, and its conventions."""

    pipeline: str
    encoders: tuple[tuple[str, str, str], ...]
    """(part, prefix in the file, "clip" | "openclip")"""
    sample: int
    """latents' side"""
    scale: float = 0.18215
    prediction: str = "epsilon"


FAMILIES: dict[str, Family] = {
    "sd1": Family("StableDiffusionPipeline", (("text_encoder", "cond_stage_model.transformer.", "clip"),), 64),
    "sd2": Family(
        "StableDiffusionPipeline",
        (("text_encoder", "cond_stage_model.model.", "openclip"),),
        96,
        prediction="v_prediction",
    ),
    "sdxl": Family(
        "StableDiffusionXLPipeline",
        (
            ("text_encoder", "conditioner.embedders.0.transformer.", "clip"),
            ("text_encoder_2", "conditioner.embedders.1.model.", "openclip"),
        ),
        128,
        scale=0.13025,
    ),
}


def family_of(names: Iterable[str]) -> str:
    """Which family's file has these names.

    Raises:
        CapabilityError: none that is read here; the message says what it looks like.
    """
    known = list(names)
    heads = {name: tuple(prefix for _, prefix, _ in f.encoders) for name, f in FAMILIES.items()}
    if any(k.startswith(UNET) for k in known):
        for name, prefixes in heads.items():
            if all(any(k.startswith(p) for k in known) for p in prefixes):
                return name
        raise CapabilityError("the file has a U-Net but no text encoder of Stable Diffusion 1, 2 or SDXL")
    raise CapabilityError(f"the file is no Stable Diffusion checkpoint: {looks_like(known)}")


def looks_like(names: list[str]) -> str:
    """What a file of tensors seems to be."""
    text = " ".join(names[:2000])
    for mark, what in (
        ("lora_", "it looks like a LoRA; give it with --lora"),
        ("hada_", "it looks like a LoHa; give it with --lora"),
        ("lokr_", "it looks like a LoKr; give it with --lora"),
        ("emb_params", "it looks like a textual-inversion embedding; give it with --embedding"),
        ("ip_adapter", "it looks like an IP-Adapter; give its folder with --ip-adapter"),
        ("down_blocks.", "it looks like one part of a diffusers folder; give the folder with model_index.json"),
    ):
        if mark in text:
            return what
    return f"its tensors are called {', '.join(names[:3]) or '(it has none)'}"


def from_original(
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    *,
    tokenizer: Path | None = None,
    prediction: str | None = None,
    beside: Path | None = None,
    base: Path | None = None,
) -> Bundle:
    """A single file's tensors as a pipeline's parts.

    Args:
        metadata: the texts of its header.
        tokenizer: a folder with CLIP's word pieces, for a file that does not carry them.
        prediction: what the network predicts, "epsilon" or "v_prediction", where the family's custom is not meant.
        beside: the folder of the file, in which a tokenizer may lie.
        base: a diffusers folder of the same family, for what files of Stable Diffusion 3 and Flux lack.

    Raises:
        CapabilityError: no family that is read. CheckpointError: tensors are missing. UsageError: no tokenizer.
    """
    if transformer_single.family_of(tensors) is not None:
        if tokenizer is not None or prediction is not None:
            raise UsageError(
                "a file of Stable Diffusion 3 or Flux takes its tokenizers from base; leave tokenizer and prediction out"
            )
        return transformer_single.from_original(tensors, metadata, base)
    if base is not None:
        raise UsageError("base is for files of Stable Diffusion 3 and Flux; leave it out")
    family = FAMILIES[name := family_of(tensors)]
    kept = json.loads(metadata[HEADER]) if HEADER in metadata else None
    files: dict[str, str] = dict(kept["files"]) if kept else {}
    parts: dict[str, dict[str, Tensor]] = {}
    left: dict[str, Tensor] = {}
    taken = (UNET, VAE, *(prefix for _, prefix, _ in family.encoders))
    left |= {k: v for k, v in tensors.items() if not k.startswith(taken)}
    configs: dict[str, Any] = {}

    def odd(prefix: str, names: list[str]) -> None:
        left.update({prefix + n: tensors[prefix + n] for n in names})

    network = within(tensors, UNET)
    parts["unet"], unknown = renamed(network, unet_names(Layout.of_original(network)))
    odd(UNET, unknown)
    configs["unet"] = infer.unet_config(network, name, family.sample)
    latent = within(tensors, VAE)
    vae = infer.vae_config(latent, family.scale, 8 * family.sample)
    parts["vae"], unknown = vae_there(latent, vae_names(len(vae["block_out_channels"]), vae["layers_per_block"]))
    odd(VAE, unknown)
    configs["vae"] = vae
    for part, prefix, kind in family.encoders:
        mine = within(tensors, prefix)
        if kind == "clip":
            out = {k: v for k, v in mine.items() if not k.endswith("position_ids")}
            unknown = [k for k in mine if k not in out]
        else:
            # Stable Diffusion 2 reads the last but one layer: diffusers leaves the last out.
            projects = name == "sdxl"
            layers = int(kept["layers"][part]) if kept else depth(mine) - (0 if projects else 1)
            out, unknown = clip_there(mine, layers, projects)
        odd(prefix, unknown)
        configs[part] = infer.encoder_config(out, "quick_gelu" if kind == "clip" else "gelu", part == "text_encoder_2")
        parts[part] = bare(out) if kept and part in kept["bare"] else out
    if kept is None:
        words = tokenizer_files(tokenizer, beside, configs["text_encoder"])
        files = _files(name, family, configs, prediction or metadata_prediction(metadata) or family.prediction, words)
    elif prediction is not None:
        raise UsageError("this file carries its own configs; leave prediction out")
    return Bundle(files, parts, left)


def metadata_prediction(metadata: Mapping[str, str]) -> str | None:
    """What the header says of the prediction (the modelspec of Stability AI)."""
    known = {"epsilon": "epsilon", "v": "v_prediction"}
    return known.get(metadata.get("modelspec.prediction_type", ""))


def _files(
    name: str, family: Family, configs: Mapping[str, Any], prediction: str, words: Mapping[str, str]
) -> dict[str, str]:
    channels = configs["unet"]["in_channels"]
    pipeline = family.pipeline
    if channels == 9:
        pipeline = pipeline.replace("Pipeline", "InpaintPipeline")
    elif channels != 4:
        raise CapabilityError(
            f"a network of {channels} input channels (depth, upscaling) is not read from a single file"
        )
    index: dict[str, Any] = {"_class_name": pipeline}
    for part in configs:
        if part.startswith("text_encoder"):
            index[part] = ["transformers", configs[part]["architectures"][0]]
            index[part.replace("text_encoder", "tokenizer")] = ["transformers", "CLIPTokenizer"]
        else:
            index[part] = ["diffusers", configs[part]["_class_name"]]
    steps = infer.scheduler_config(name, prediction)
    index["scheduler"] = ["diffusers", steps["_class_name"]]
    if name == "sdxl":
        index["force_zeros_for_empty_prompt"] = True
    else:
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None], "requires_safety_checker": False}
    files = {INDEX: json.dumps(index, indent=2), "scheduler/scheduler_config.json": json.dumps(steps, indent=2)}
    files |= {f"{part}/config.json": json.dumps(config, indent=2) for part, config in configs.items()}
    for part in configs:
        if part.startswith("text_encoder"):
            place = part.replace("text_encoder", "tokenizer")
            files |= {f"{place}/{k}": v for k, v in words.items()}
    if name == "sdxl" and "special_tokens_map.json" in words:
        # The second encoder pads with "!".
        marks = json.loads(words["special_tokens_map.json"])
        files["tokenizer_2/special_tokens_map.json"] = json.dumps({**marks, "pad_token": "!"}, indent=2)
    return files


def to_original(bundle: Bundle) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A pipeline's parts as a single file: tensors and header.

    Raises:
        CapabilityError: a pipeline that has no such layout.
    """
    if transformer_single.family_of_pipeline(bundle.pipeline) is not None:
        return transformer_single.to_original(bundle)
    name = family_of_bundle(bundle)
    family = FAMILIES[name]
    out: dict[str, Tensor] = {}

    def put(prefix: str, tensors: Mapping[str, Tensor], unknown: list[str], part: str) -> None:
        if unknown:
            raise CapabilityError(f"the {part} has tensors that the original layout has no place for: {unknown[:5]}")
        out.update({prefix + k: v for k, v in tensors.items()})

    unet = bundle.tensors["unet"]
    put(UNET, *renamed(unet, unet_names(Layout.of_diffusers(unet)), back=True), "unet")
    config = bundle.json("vae/config.json")
    names = vae_names(len(config["block_out_channels"]), int(config.get("layers_per_block", 1)))
    put(VAE, *vae_back(bundle.tensors["vae"], names), "vae")
    layers: dict[str, int] = {}
    bare_parts = []
    for part, prefix, kind in family.encoders:
        tensors = bundle.tensors[part]
        layers[part] = depth(tensors)
        if prefixed(tensors).keys() != tensors.keys():
            bare_parts.append(part)
        tensors = prefixed(tensors)
        put(prefix, *((tensors, []) if kind == "clip" else clip_back(tensors)), part)
    header = {"files": bundle.files, "layers": layers, "bare": bare_parts}
    both = sorted(set(bundle.left_over) & set(out))
    if both:
        raise CheckpointError(f"{both[0]} is both left over and a part's own")
    return {**out, **bundle.left_over}, {"format": "pt", HEADER: json.dumps(header)}


def family_of_bundle(bundle: Bundle) -> str:
    """The family of a pipeline's parts."""
    if bundle.pipeline.startswith("StableDiffusionXL") and "text_encoder_2" in bundle.tensors:
        return "sdxl"
    if bundle.pipeline.startswith("StableDiffusion") and {"unet", "vae", "text_encoder"} <= bundle.tensors.keys():
        config = bundle.json("text_encoder/config.json")
        return "sd2" if config.get("hidden_act", "quick_gelu") == "gelu" else "sd1"
    raise CapabilityError(
        f"{bundle.pipeline} has no single-file layout that is written here; written are Stable Diffusion 1, 2, 3, SDXL and Flux"
    )


def write_single(bundle: Bundle, path: Path) -> Path:
    """Write one file in the original layout.

    Raises:
        UsageError: it exists.
    """
    if path.exists():
        raise UsageError(f"{path} exists already; choose another name")
    tensors, header = to_original(bundle)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(whole(tensors), path, header)
    return path
