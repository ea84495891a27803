"""Checkpoints: safetensors and JSON in a folder, written to the side and renamed into place, with hashes.

``step-0001200/`` holds ``manifest.json`` (format version, meta, SHA-256 and size of each file) and one safetensors file per
part (``model``, ``ema``, ``optimizer``, ``random``). Where several processes divided the tensors among them, each wrote its
rows to a file in ``shards/`` (:mod:`ornstein.training.together`). No pickle is ever read: such a file could run code.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ornstein.core.errors import CheckpointError

FORMAT = 2
"""The highest that can be read: 1 has whole tensors only, 2 some that are divided among files in ``shards/``."""
SHARDS = "shards"
MANIFEST = "manifest.json"
PARTIAL, FORMER, REMOVED = ".partial", ".former", ".removed"
"""Endings of what is being written, what is being replaced and what is being deleted."""
PICKLES = {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin"}


class CheckpointWarning(UserWarning):
    """A checkpoint was passed over as damaged, or could not be written."""


@dataclass(frozen=True)
class Checkpoint:
    """What was saved: tensors by part, and the meta data."""

    path: Path
    meta: dict[str, Any]
    parts: dict[str, dict[str, Tensor]]
    divided: frozenset[str] = frozenset()
    """``part/name`` of tensors that were left in their shards"""

    def digest(self, part: str) -> str:
        """A hash of a part's tensors: that of its file, or of all files where they are divided."""
        files = read_manifest(self.path)["files"]
        hashes = [e["sha256"] for n, e in sorted(files.items()) if n.startswith(f"{SHARDS}/")]
        if not hashes:
            return str(files[f"{part}.safetensors"]["sha256"])
        whole = files.get(f"{part}.safetensors", {"sha256": ""})["sha256"]
        return hashlib.sha256("".join([whole, *hashes]).encode()).hexdigest()


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def refuse_pickle(path: Path) -> None:
    """Raise for a file whose name or first bytes are a pickle's."""
    head = b""
    if path.is_file():
        with path.open("rb") as f:
            head = f.read(4)
    zip_or_pickle = head[:2] == b"PK" or (head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"))
    if path.suffix in PICKLES or (path.suffix != ".npz" and zip_or_pickle):
        raise CheckpointError(
            f"{path} is a pickle, which can run code when read, and is refused. Convert it first: "
            "ornstein convert FILE NEW.safetensors --allow-pickle (a pipeline), or where you trust it "
            "torch.load(..., weights_only=True) and safetensors.torch.save_file(state_dict, 'model.safetensors')"
        )


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    aside = path.with_name(path.name + PARTIAL)
    try:
        aside.write_text(text, encoding="utf-8")
        _sync(aside)
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def remove(path: Path) -> None:
    """Delete a folder. It loses its name first: a kill in the middle leaves nothing that looks like a checkpoint."""
    gone = path.with_name(path.name + REMOVED)
    shutil.rmtree(gone, ignore_errors=True)
    try:
        path.rename(gone)
    except OSError:
        gone = path
    shutil.rmtree(gone, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Clear away what a killed process left half-written or half-deleted in a run's folder of checkpoints."""
    for path in list(folder.glob("step-*")) if folder.is_dir() else ():
        if path.suffix in (PARTIAL, REMOVED):
            shutil.rmtree(path, ignore_errors=True)
        elif path.suffix == FORMER:
            if path.with_suffix("").exists():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.rename(path.with_suffix(""))  # killed between the two renames of a replacement


def aside_of(path: Path) -> Path:
    """Where a checkpoint is written before it gets its name."""
    return path.with_name(path.name + PARTIAL)


def begin(path: Path) -> Path:
    """An empty folder aside."""
    aside = aside_of(path)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    return aside


def entry_of(file: Path) -> dict[str, Any]:
    """What the manifest says of a file, which is on the disk afterwards."""
    _sync(file)
    return {"sha256": sha256(file), "bytes": file.stat().st_size}


def write_parts(aside: Path, parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Any]]:
    """A file for each part, and its entry of the manifest."""
    files: dict[str, dict[str, Any]] = {}
    for name, tensors in parts.items():
        file = aside / f"{name}.safetensors"
        save_file({k: v.detach().contiguous().cpu() for k, v in tensors.items()}, file)
        files[file.name] = entry_of(file)
    return files


def complete(path: Path, files: Mapping[str, Mapping[str, Any]], meta: Mapping[str, Any], version: int) -> None:
    """Write the manifest and give the folder aside its name."""
    aside, former = aside_of(path), path.with_name(path.name + FORMER)
    manifest = aside / MANIFEST
    entries = {"format": version, "meta": dict(meta), "meta_sha256": _digest(dict(meta)), "files": dict(files)}
    manifest.write_text(json.dumps(entries, indent=1))
    _sync(manifest)
    _sync(aside)
    if path.exists():
        shutil.rmtree(former, ignore_errors=True)
        path.rename(former)
    aside.rename(path)
    _sync(path.parent)
    shutil.rmtree(former, ignore_errors=True)


def abandon(path: Path) -> None:
    """Clear away a checkpoint that could not be written; what was there before stays."""
    former = path.with_name(path.name + FORMER)
    shutil.rmtree(aside_of(path), ignore_errors=True)
    if former.exists() and not path.exists():
        former.rename(path)


def not_written(path: Path, why: object) -> CheckpointError:
    """The error of a checkpoint that could not be written."""
    return CheckpointError(f"could not write the checkpoint {path}: {why}. Earlier checkpoints are untouched")


def save_checkpoint(path: Path, parts: Mapping[str, Mapping[str, Tensor]], meta: Mapping[str, Any]) -> Path:
    """Write a checkpoint folder; it appears under ``path`` whole or not at all.

    Raises:
        CheckpointError: it could not be written (disk full, no permission); what was there before stays.
    """
    try:
        files = write_parts(begin(path), parts)
        complete(path, files, meta, version=1)
    except (OSError, SafetensorError) as e:
        abandon(path)
        raise not_written(path, e) from e
    return path


def _digest(meta: Any) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint folder, its format checked."""
    refuse_pickle(path)
    file = path / MANIFEST
    if not file.is_file():
        raise CheckpointError(f"{path} is no checkpoint: it has no {MANIFEST}")
    try:
        manifest = json.loads(file.read_text())
        version = int(manifest["format"])
        manifest["files"], manifest["meta"]
    except (ValueError, KeyError, TypeError) as e:
        raise CheckpointError(f"{file} is damaged: {e}") from e
    if manifest.get("meta_sha256", _digest(manifest["meta"])) != _digest(manifest["meta"]):
        raise CheckpointError(f"{file} is damaged: its meta data do not have the hash that it gives")
    if version > FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {version}; this version reads up to {FORMAT}. Install a newer ornstein"
        )
    return dict(manifest)


def load_checkpoint(path: Path, parts: tuple[str, ...] | None = None, shards: bool = True) -> Checkpoint:
    """Read a checkpoint folder and check the hash of every file that is read.

    ``parts``: which ones, by default all. ``shards`` False leaves divided tensors where they are and names them.

    Raises:
        CheckpointError: no checkpoint, a newer format, a file missing, truncated or of the wrong hash, or a pickle.
    """
    manifest = read_manifest(path)
    tensors: dict[str, dict[str, Tensor]] = {}
    divided = [name for name in manifest["files"] if name.startswith(f"{SHARDS}/")]
    for name, entry in manifest["files"].items():
        part = name.removesuffix(".safetensors")
        if name in divided or (parts is not None and part not in parts):
            continue
        check_file(path, name, entry)
        tensors[part] = load_file(path / name)
    if not divided or parts == ():
        return Checkpoint(path, manifest["meta"], tensors)
    from ornstein.training.together import names_in, read_shards

    if not shards:
        return Checkpoint(path, manifest["meta"], tensors, names_in(path))
    for name in divided:
        check_file(path, name, manifest["files"][name])
    for part, found in read_shards(path, parts).items():
        tensors[part] = tensors.get(part, {}) | found
    return Checkpoint(path, manifest["meta"], tensors)


def check_file(path: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Raise where a file of a checkpoint is not what its manifest says."""
    file = path / name
    if not file.is_file():
        raise CheckpointError(f"{path} is torn: {name} is missing")
    if file.stat().st_size != entry["bytes"]:
        raise CheckpointError(f"{file} is truncated: {file.stat().st_size} bytes of {entry['bytes']}")
    if sha256(file) != entry["sha256"]:
        raise CheckpointError(f"{file} does not have the hash that its manifest gives; it is damaged or was changed")


def checkpoints(run: Path) -> list[Path]:
    """The finished checkpoint folders of a run, oldest first."""
    folder = run / "checkpoints"
    found = [p for p in folder.glob("step-*") if p.is_dir()] if folder.is_dir() else []
    return sorted(
        p
        for p in found
        # A former one counts while the one that was to replace it is not there.
        if p.suffix not in (PARTIAL, FORMER, REMOVED) or (p.suffix == FORMER and not p.with_suffix("").exists())
    )


def latest_checkpoint(run: Path, parts: tuple[str, ...] | None = None) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint of a run that is whole, and a line about each newer one that is not."""
    torn: list[str] = []
    for path in reversed(checkpoints(run)):
        try:
            return load_checkpoint(path, parts), torn
        except CheckpointError as e:
            torn.append(str(e))
    return None, torn
