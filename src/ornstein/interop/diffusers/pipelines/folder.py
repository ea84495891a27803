"""A pipeline's folder: ``model_index.json`` and its parts, checked before anything large is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ornstein.core.errors import CapabilityError, CheckpointError, UsageError, unknown
from ornstein.interop.diffusers.pipelines.families.table import Family, pipelines

INDEX = "model_index.json"
_OF_TRANSFORMERS = ("text_encoder", "tokenizer", "depth_estimator", "feature_extractor")
_PLACES = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2", "tokenizer", "scheduler")


@dataclass(frozen=True)
class Index:
    """What ``model_index.json`` says."""

    path: Path
    pipeline: str
    parts: dict[str, str]
    """part -> class name, for the parts that are present"""
    family: Family
    settings: dict[str, Any] = field(default_factory=dict)
    """what the pipeline itself is told, such as ``force_zeros_for_empty_prompt``"""
    tensors: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """part -> its weights, where they are in memory and not in the folder"""
    prepare: Callable[[str, nn.Module], None] | None = None
    """what is done to each part while it is empty"""


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
    if not isinstance(entries, dict):
        raise CheckpointError(f"{path / INDEX} is no pipeline's index: a JSON object is expected")
    known, name = pipelines(), str(entries.get("_class_name"))
    if name not in known:
        raise CapabilityError(str(unknown("pipeline class", name, known)))
    family = known[name]
    listed = {k: str(v[1]) for k, v in entries.items() if isinstance(v, list) and len(v) == 2 and isinstance(v[1], str)}
    parts = {part: kind for part, kind in listed.items() if part in family.parts or part in family.optional}
    for part in family.parts:
        if part not in parts or not (path / part).is_dir():
            raise CheckpointError(f"{path}: {name} needs the part '{part}', which is missing")
    for part, kind in parts.items():
        allowed = family.parts.get(part) or family.optional.get(part)
        if allowed and kind not in allowed:
            raise CapabilityError(
                f"{path}: the {part} is a {kind}; read are {', '.join(allowed)} "
                "(code that comes with a checkpoint is never run)"
            )
        if not (path / part).is_dir():
            raise CheckpointError(f"{path}: {INDEX} names the part '{part}', which is missing")
    settings = {k: v for k, v in entries.items() if not k.startswith("_") and not isinstance(v, list)}
    return Index(path, name, parts, family, settings)


def resembles(path: Path) -> bool:
    """Whether a folder without an index comes from this ecosystem: a part of a pipeline, or its parts."""
    if not path.is_dir():
        return False
    settings = _settings(path)
    if "_class_name" in settings or "architectures" in settings:
        return True
    return any((path / name).exists() for name in ("scheduler_config.json", "unet", "transformer", "vae"))


def _settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _looks_like(path: Path) -> str:
    if not path.exists():
        return "there is nothing there"
    if not path.is_dir():
        return "it is a file; give the folder, or convert the file first"
    if (path / "scheduler_config.json").is_file():
        return "it looks like a scheduler's own folder; give the folder above it"
    settings = _settings(path)
    if "_class_name" in settings or "architectures" in settings:
        kind = settings.get("_class_name") or (settings["architectures"] or ["model"])[0]
        return f"it looks like one part of a pipeline ({kind}); give the folder above it"
    parts = sorted(p.name for p in path.iterdir() if p.is_dir() and p.name in _PLACES)
    if parts:
        return f"it holds parts of a pipeline ({', '.join(parts)}) and not the file that joins them: copy that as well"
    if (path / "checkpoints").is_dir():
        return "it looks like a run of ours without checkpoints that can be read"
    single = sorted(p.name for p in path.iterdir() if p.suffix == ".safetensors")
    if single:
        return f"it holds {single[0]}, which looks like a checkpoint in one file: give that file"
    names = sorted(p.name for p in path.iterdir())[:5]
    return f"it holds {', '.join(names) or 'nothing'}"


def load_part(index: Index, part: str) -> Any:
    """One part through its own class, from safetensors on this disk only (one file, shards, or a variant such as fp16).

    Raises:
        CheckpointError: the weights are pickles, missing, or do not fit the class (the tensors are listed).
        UsageError: the library that has the class is not installed.
    """
    folder = index.path / part
    library = "transformers" if part.startswith(_OF_TRANSFORMERS) else "diffusers"
    try:
        module = __import__(library)
    except ImportError as e:
        raise UsageError(f"{index.pipeline} needs {library}: pip install 'ornstein[diffusers]'") from e
    kind = getattr(module, index.parts[part])
    if part.startswith(("tokenizer", "feature_extractor")):
        return kind.from_pretrained(folder, local_files_only=True)
    from ornstein.interop.diffusers.pipelines.fitting import fitted

    prepare = index.prepare
    return fitted(kind, folder, index.tensors.get(part), None if prepare is None else partial(prepare, part))
