"""A pipeline as a checkpoint of ours: one safetensors file per part, the small files in the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ornstein.core.errors import CheckpointError, UsageError
from ornstein.interop.files.bundle import Bundle, whole
from ornstein.training.checkpoint import Checkpoint, checkpoints, latest_checkpoint, load_checkpoint, read_manifest
from ornstein.training.checkpoint import save_checkpoint as save

RECIPE = "diffusers"
LEFT_OVER = "left_over"
MANIFEST = "manifest.json"


def is_pipeline_run(path: Path) -> bool:
    """Whether this is a run or checkpoint folder of ours that holds a pipeline."""
    if not path.is_dir():
        return False
    places = [path] if (path / MANIFEST).is_file() else checkpoints(path)[-1:]
    return any(read_manifest(p)["meta"].get("recipe") == RECIPE for p in places)


def read_run(path: Path) -> Bundle:
    """The pipeline in a run or checkpoint folder.

    Raises:
        CheckpointError: torn, or the checkpoint of something else.
    """
    if (path / MANIFEST).is_file():
        return _bundle(load_checkpoint(path))
    found, torn = latest_checkpoint(path)
    if found is None:
        raise CheckpointError(f"no checkpoint of {path} can be read: {'; '.join(torn) or 'it has none'}")
    return _bundle(found)


def _bundle(found: Checkpoint) -> Bundle:
    files = found.meta.get("files")
    if found.meta.get("recipe") != RECIPE or not isinstance(files, dict):
        raise CheckpointError(f"{found.path} holds no pipeline")
    parts: dict[str, dict[str, Tensor]] = {k: dict(v) for k, v in found.parts.items()}
    left = parts.pop(LEFT_OVER, {})
    return Bundle({str(k): str(v) for k, v in files.items()}, parts, left)


def write_run(bundle: Bundle, path: Path, about: dict[str, Any] | None = None) -> Path:
    """Write ``PATH/checkpoints/step-0000000``.

    Raises:
        UsageError: the folder exists and is not empty.
    """
    if path.exists() and (path.is_file() or any(path.iterdir())):
        raise UsageError(f"{path} exists already; choose another place")
    parts = {k: whole(v) for k, v in bundle.tensors.items()}
    if bundle.left_over:
        parts[LEFT_OVER] = whole(bundle.left_over)
    place = path / "checkpoints" / "step-0000000"
    place.parent.mkdir(parents=True, exist_ok=True)
    save(
        place,
        parts,
        {"recipe": RECIPE, "config": {"pipeline": bundle.pipeline}, "files": bundle.files, **(about or {})},
    )
    return path
