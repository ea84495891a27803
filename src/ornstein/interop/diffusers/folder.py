"""A pipeline's folder: ``model_index.json`` and its parts, checked before anything large is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ornstein.core.errors import CapabilityError, CheckpointError, UsageError, unknown
from ornstein.interop.diffusers.families.table import Family, pipelines

INDEX = "model_index.json"
_OF_TRANSFORMERS = ("text_encoder", "tokenizer", "depth_estimator", "feature_extractor")



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
    library = "transformers" if part.startswith(_OF_TRANSFORMERS) else "diffusers"
    try:
        module = __import__(library)
    except ImportError as e:
        raise UsageError(f"{index.pipeline} needs {library}: pip install 'ornstein[diffusers]'") from e
    kind = getattr(module, index.parts[part])
    if part.startswith(("tokenizer", "feature_extractor")):
        return kind.from_pretrained(folder, local_files_only=True)
    from ornstein.interop.diffusers.fitting import fitted

    return fitted(kind, folder, index.tensors.get(part))
