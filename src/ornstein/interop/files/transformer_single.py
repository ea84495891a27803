"""One ``.safetensors`` file in the original layout of Stable Diffusion 3 or Flux, both ways.

Such a file may hold the transformer alone. What it lacks (encoders, tokenizers, the autoencoder, configs) comes from a diffusers
folder of the same family, the base. A file that was written here carries all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ornstein.core.errors import CapabilityError, CheckpointError, UsageError
from ornstein.interop.files.bundle import INDEX, Bundle, read_folder
from ornstein.interop.files.clip_names import PREFIX, bare, prefixed
from ornstein.interop.files.infer import size_of
from ornstein.interop.files.rename import within
from ornstein.interop.files.transformer_names import Table, count, flux_table, sd3_table
from ornstein.interop.files.vae_names import vae_back, vae_names, vae_there

PART = "transformer"
NETWORK = "model.diffusion_model."
HEADER = "ornstein.pipeline"
_CLIP_L, _CLIP_G = "text_encoders.clip_l.transformer.", "text_encoders.clip_g.transformer."
_T5 = "text_encoders.t5xxl.transformer."


@dataclass(frozen=True)
class Family:
    """Where a family keeps its parts."""

    title: str
    pipelines: str
    """what the names of its pipelines begin with"""
    blocks: str
    vae: tuple[str, ...]
    """prefixes of the autoencoder; the first is written"""
    encoders: Mapping[str, str]
    """part -> prefix"""


FAMILIES: dict[str, Family] = {
    "sd3": Family(
        "Stable Diffusion 3",
        "StableDiffusion3",
        "joint_blocks.",
        ("first_stage_model.", "vae."),
        {"text_encoder": _CLIP_L, "text_encoder_2": _CLIP_G, "text_encoder_3": _T5},
    ),
    "flux": Family(
        "Flux",
        "Flux",
        "double_blocks.",
        ("vae.", "first_stage_model."),
        {"text_encoder": _CLIP_L, "text_encoder_2": _T5},
    ),
}


def family_of(names: Iterable[str]) -> str | None:
    """Which of these families' file has such names, with the network's prefix or without; None if neither's."""
    known = {n.removeprefix(NETWORK) for n in names}
    if any(n.startswith(("single_stream_modulation", "double_stream_modulation")) for n in known):
        raise CapabilityError("the file looks like Flux 2, which is not read")
    return next((k for k, f in FAMILIES.items() if any(n.startswith(f.blocks) for n in known)), None)


def family_of_pipeline(name: str) -> str | None:
    """The family of a pipeline's class."""
    return next((k for k, f in FAMILIES.items() if name.startswith(f.pipelines)), None)


def from_original(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], base: Path | None = None) -> Bundle:
    """A single file's tensors as a pipeline's parts; the rest from the folder ``base``.

    Raises:
        UsageError: something is missing and no base is given, or the base is another family's (both are named).
        CheckpointError: tensors are missing.
    """
    name = family_of(tensors)
    assert name is not None
    family = FAMILIES[name]
    kept = json.loads(metadata[HEADER]) if HEADER in metadata else None
    if kept is None and base is None:
        raise UsageError(
            f"the file holds {family.title}'s tensors and neither configs nor tokenizers: give a diffusers folder of the same "
            "family that has them (--base FOLDER)"
        )
    held = {part: prefix for part, prefix in family.encoders.items() if any(k.startswith(prefix) for k in tensors)}
    vae = next((p for p in family.vae if any(k.startswith(p) for k in tensors)), None)
    own = {PART, *held, *(["vae"] if vae else [])}
    if kept is not None:
        rest = Bundle(dict(kept["files"]), {})
    else:
        assert base is not None
        rest = read_folder(base, without=own)
        if family_of_pipeline(rest.pipeline) != name:
            raise UsageError(f"the file is {family.title}'s, and the base {base.name} a {rest.pipeline}'s")
    parts, files = dict(rest.tensors), dict(rest.files)
    listed = {k for k, v in json.loads(files[INDEX]).items() if isinstance(v, list) and v[:1] != [None]}
    left: dict[str, Tensor] = {}

    whole = any(k.startswith(NETWORK) for k in tensors)
    others = (*family.encoders.values(), *family.vae)
    network = within(tensors, NETWORK) if whole else {k: v for k, v in tensors.items() if not k.startswith(others)}
    table = _table(name, network)
    parts[PART], unknown = table.there(network)
    left |= {(NETWORK if whole else "") + n: network[n] for n in unknown}
    config = Bundle(files, {}).json(f"{PART}/config.json")
    files[f"{PART}/config.json"] = _text(files[f"{PART}/config.json"], config | _shown(name, network, config))
    if vae:
        settings = Bundle(files, {}).json("vae/config.json")
        names = vae_names(len(settings["block_out_channels"]), int(settings.get("layers_per_block", 1)))
        inside = within(tensors, vae)
        parts["vae"], unknown = vae_there(inside, names)
        left |= {vae + n: inside[n] for n in unknown}
    for part, prefix in held.items():
        inside = within(tensors, prefix)
        if part not in listed:  # a base without T5, say
            left |= {prefix + k: v for k, v in inside.items()}
            continue
        mine = {k: v for k, v in inside.items() if _read(prefix, k, Bundle(files, {}).json(f"{part}/config.json"))}
        left |= {prefix + k: v for k, v in inside.items() if k not in mine}
        parts[part] = bare(mine) if kept and part in kept["bare"] else mine
    taken = (NETWORK, *others)
    left |= {k: v for k, v in tensors.items() if whole and not k.startswith(taken)}
    return Bundle(files, parts, left)


def _read(prefix: str, name: str, config: Mapping[str, Any]) -> bool:
    """Whether the encoder's class has a place for a tensor: a CLIP that does not project has none for the projection."""
    if prefix == _T5:
        return True
    projects = "CLIPTextModelWithProjection" in config.get("architectures", ())
    return (name.startswith(PREFIX) and not name.endswith("position_ids")) or (
        projects and name == "text_projection.weight"
    )


def _table(name: str, network: Mapping[str, Tensor]) -> Table:
    """The names of a transformer in the authors' layout."""
    if name == "sd3":
        return sd3_table(count(network, "joint_blocks"), size_of(network, "x_embedder.proj.weight")[0])
    width = size_of(network, "img_in.weight")[0]
    return flux_table(count(network, "double_blocks"), count(network, "single_blocks"), width)


def _shown(name: str, network: Mapping[str, Tensor], base: Mapping[str, Any]) -> dict[str, Any]:
    """What the shapes say of the config; what they do not show is the base's."""
    if name == "sd3":
        width, channels, patch, _ = size_of(network, "x_embedder.proj.weight")
        normed = "joint_blocks.0.x_block.attn.ln_q.weight" in network
        layers = count(network, "joint_blocks")
        dual = [i for i in range(layers) if f"joint_blocks.{i}.x_block.attn2.qkv.weight" in network]
        found: dict[str, Any] = {
            "num_layers": layers,
            "in_channels": channels,
            "patch_size": patch,
            "num_attention_heads": width // int(base.get("attention_head_dim", 64)),
            "joint_attention_dim": size_of(network, "context_embedder.weight")[1],
            "caption_projection_dim": size_of(network, "context_embedder.weight")[0],
            "pooled_projection_dim": size_of(network, "y_embedder.mlp.0.weight")[1],
            "pos_embed_max_size": round(size_of(network, "pos_embed")[1] ** 0.5),
            "dual_attention_layers": dual,
            "qk_norm": "rms_norm" if normed else None,
        }
    else:
        found = {
            "num_layers": count(network, "double_blocks"),
            "num_single_layers": count(network, "single_blocks"),
            "in_channels": size_of(network, "img_in.weight")[1],
            "num_attention_heads": size_of(network, "img_in.weight")[0] // int(base.get("attention_head_dim", 128)),
            "joint_attention_dim": size_of(network, "txt_in.weight")[1],
            "pooled_projection_dim": size_of(network, "vector_in.in_layer.weight")[1],
            "guidance_embeds": "guidance_in.in_layer.weight" in network,
        }
    # A value that the base leaves to its class's default stays there if nothing else is shown.
    return {k: v for k, v in found.items() if k in base or v not in (None, [])}


def _text(before: str, config: Mapping[str, Any]) -> str:
    """The config as text; unchanged where it says the same."""
    return before if json.loads(before) == config else json.dumps(config, indent=2)


def to_original(bundle: Bundle) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A pipeline's parts as a single file: tensors and header.

    Raises:
        CapabilityError: tensors that the original layout has no place for.
    """
    name = family_of_pipeline(bundle.pipeline)
    assert name is not None
    family = FAMILIES[name]
    out: dict[str, Tensor] = {}

    def put(prefix: str, found: tuple[Mapping[str, Tensor], list[str]], part: str) -> None:
        tensors, unknown = found
        if unknown:
            raise CapabilityError(f"the {part} has tensors that the original layout has no place for: {unknown[:5]}")
        out.update({prefix + k: v for k, v in tensors.items()})

    if PART not in bundle.tensors:
        raise CheckpointError(f"the pipeline has no {PART}")
    network = bundle.tensors[PART]
    blocks = count(network, "transformer_blocks")
    if name == "sd3":
        table = sd3_table(blocks, size_of(network, "pos_embed.proj.weight")[0])
    else:
        table = flux_table(
            blocks, count(network, "single_transformer_blocks"), size_of(network, "x_embedder.weight")[0]
        )
    put(NETWORK, table.back(network), PART)
    if "vae" in bundle.tensors:
        config = bundle.json("vae/config.json")
        names = vae_names(len(config["block_out_channels"]), int(config.get("layers_per_block", 1)))
        put(family.vae[0], vae_back(bundle.tensors["vae"], names), "vae")
    bare_parts = []
    for part, prefix in family.encoders.items():
        tensors = bundle.tensors.get(part, {})
        if tensors and prefix != _T5:
            if prefixed(tensors).keys() != tensors.keys():
                bare_parts.append(part)
            tensors = prefixed(tensors)
        put(prefix, (tensors, []), part)
    both = sorted(set(bundle.left_over) & set(out))
    if both:
        raise CheckpointError(f"{both[0]} is both left over and a part's own")
    header = {"files": bundle.files, "bare": bare_parts}
    return {**out, **bundle.left_over}, {"format": "pt", HEADER: json.dumps(header)}
