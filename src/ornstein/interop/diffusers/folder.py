"""A pipeline's folder: ``model_index.json`` and its parts, checked before anything large is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ornstein.core.errors import CapabilityError, CheckpointError, UsageError, unknown

INDEX = "model_index.json"

PIPELINES: dict[str, tuple[str, ...]] = {
    "DDPMPipeline": ("unet", "scheduler"),
    "DDIMPipeline": ("unet", "scheduler"),
    "StableDiffusionPipeline": ("unet", "scheduler", "vae", "text_encoder", "tokenizer"),
}
"""The pipeline classes that are read, and the parts that each must have."""

CLASSES: dict[str, tuple[str, ...]] = {
    "unet": ("UNet2DModel", "UNet2DConditionModel"),
    "vae": ("AutoencoderKL",),
    "text_encoder": ("CLIPTextModel",),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
}
"""The classes that may stand in each place; nothing else is ever imported for a folder."""


@dataclass(frozen=True)
class Index:
    """What ``model_index.json`` says."""

    path: Path
    pipeline: str
    parts: dict[str, str]
    """part -> class name, for the parts that are present"""
    tensors: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """part -> its weights, where they are in memory and not in the folder"""


def is_folder(path: Path) -> bool:
    """Whether this is a pipeline's folder."""
    return (path / INDEX).is_file()


def read_index(path: Path) -> Index:
    """The index, checked.

    Raises:
        CheckpointError: no index (the message says what the folder looks like), or no JSON, or a part is missing.
        CapabilityError: a pipeline or a class that is not read.
    """
    if not is_folder(path):
        raise CheckpointError(f"{path} is no pipeline's folder: it has no {INDEX}; {_looks_like(path)}")
    try:
        entries: dict[str, Any] = json.loads((path / INDEX).read_text(encoding="utf-8"))
    except ValueError as e:
        raise CheckpointError(f"{path / INDEX} is no JSON: {e}") from e
    name = str(entries.get("_class_name"))
    if name not in PIPELINES:
        raise CapabilityError(str(unknown("pipeline class", name, PIPELINES)))
    parts = {k: str(v[1]) for k, v in entries.items() if isinstance(v, list) and len(v) == 2 and isinstance(v[1], str)}
    for part in PIPELINES[name]:
        if part not in parts or not (path / part).is_dir():
            raise CheckpointError(f"{path}: {name} needs the part '{part}', which is missing")
        if part in CLASSES and parts[part] not in CLASSES[part]:
            raise CapabilityError(
                f"{path}: the {part} is a {parts[part]}; read are {', '.join(CLASSES[part])} "
                "(code that comes with a checkpoint is never run)"
            )
    return Index(path, name, parts)


def _looks_like(path: Path) -> str:
    if not path.exists():
        return "there is nothing there"
    if (path / "scheduler_config.json").is_file():
        return "it looks like a scheduler's own folder; give the folder above it"
    if (path / "config.json").is_file():
        return "it looks like one part of a pipeline; give the folder above it"
    if (path / "checkpoints").is_dir():
        return "it looks like a run of ours without checkpoints that can be read"
    names = sorted(p.name for p in path.iterdir())[:5]
    return f"it holds {', '.join(names) or 'nothing'}"


def load_part(index: Index, part: str) -> Any:
    """One part through its own class, from safetensors on this disk only (one file, shards, or a variant such as fp16).

    Raises:
        CheckpointError: the weights are pickles, missing, or do not fit the class (the tensors are listed).
        UsageError: the library that has the class is not installed.
    """
    folder = index.path / part
    library = "transformers" if part.startswith(("text_encoder", "tokenizer")) else "diffusers"
    try:
        module = __import__(library)
    except ImportError as e:
        raise UsageError(f"{index.pipeline} needs {library}: pip install 'ornstein[diffusers]'") from e
    kind = getattr(module, index.parts[part])
    if part.startswith("tokenizer"):
        return kind.from_pretrained(folder, local_files_only=True)
    from ornstein.interop.diffusers.fitting import fitted

    return fitted(kind, folder, index.tensors.get(part))
