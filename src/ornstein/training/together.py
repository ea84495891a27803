"""Checkpoints of divided models: torch.distributed.checkpoint writes and reads the rows, in safetensors files.

Every process writes its rows to ``shards/`` of the folder aside; the one that speaks for all writes what is whole in every
process and the manifest, with the hashes of all files, and gives the folder its name. So such a checkpoint is whole or not
there, and torn ones are found, as for any other; and it is read on any number of processes, one included.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch import Tensor

from ornstein.core.errors import CheckpointError
from ornstein.core.shards import is_sharded
from ornstein.training.checkpoint import (
    SHARDS,
    Checkpoint,
    abandon,
    aside_of,
    begin,
    check_file,
    checkpoints,
    complete,
    entry_of,
    load_checkpoint,
    not_written,
    read_manifest,
    write_parts,
)
from ornstein.training.distributed import Ranks

T = TypeVar("T")


def together(action: Callable[[], T], ranks: Ranks) -> list[T]:
    """What the action gives in each process; where it fails in one of them, all raise a CheckpointError."""
    given: T | None = None
    error = None
    try:
        given = action()
    except (OSError, SafetensorError, CheckpointError) as e:
        error = str(e)
    everyone: list[Any] = [None] * ranks.world
    dist.all_gather_object(everyone, (given, error))
    if errors := [e for _, e in everyone if e is not None]:
        raise CheckpointError(errors[0])
    return [g for g, _ in everyone]


def save_together(path: Path, parts: Mapping[str, Mapping[str, Tensor]], meta: Mapping[str, Any], ranks: Ranks) -> Path:
    """Write a checkpoint of which each process has some rows; all processes call it. See :func:`save_checkpoint`."""
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    divided: dict[str, Any] = {}
    whole: dict[str, dict[str, Tensor]] = {part: {} for part in parts}
    for part, tensors in parts.items():
        for name, tensor in tensors.items():
            if is_sharded(tensor):
                divided[f"{part}/{name}"] = tensor.detach()
            else:
                whole[part][name] = tensor
    folder = aside_of(path) / SHARDS

    def own() -> dict[str, Any]:
        """The entries of this process's share of the files."""
        mine = sorted(folder.iterdir())[ranks.rank :: ranks.world]
        return {f"{SHARDS}/{file.name}": entry_of(file) for file in mine}

    def finish(files: dict[str, Any]) -> None:
        if ranks.main:
            complete(path, files | write_parts(aside_of(path), whole), meta, version=2)

    try:
        together(lambda: begin(path) if ranks.main else None, ranks)
        save(divided, storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))
        files = {name: entry for share in together(own, ranks) for name, entry in share.items()}
        together(lambda: finish(files), ranks)
    except (CheckpointError, CheckpointException) as e:
        if ranks.main:
            abandon(path)
        ranks.wait()
        raise not_written(path, _first(e)) from e
    return path


def latest_together(run: Path, ranks: Ranks) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint of a run, its divided tensors left in their shards; and a line about each that is torn.

    Every process checks a share of the shards.
    """

    def read(path: Path) -> Checkpoint:
        files = read_manifest(path)["files"]
        shards = sorted(name for name in files if name.startswith(f"{SHARDS}/"))
        for name in shards[ranks.rank :: ranks.world]:
            check_file(path, name, files[name])
        return load_checkpoint(path, shards=False)

    torn: list[str] = []
    for path in reversed(checkpoints(run)):
        kept: list[Checkpoint] = []
        try:
            together(lambda path=path, kept=kept: kept.append(read(path)), ranks)  # type: ignore[misc]
            return kept[0], torn
        except CheckpointError as e:
            torn.append(str(e))
    return None, torn


def _reader(path: Path) -> Any:
    try:
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

        return HuggingFaceStorageReader(str(path / SHARDS))
    except (ImportError, TypeError) as e:
        raise CheckpointError(f"{path} is divided in shards; reading it needs PyTorch 2.8 or newer") from e


def names_in(path: Path) -> frozenset[str]:
    """``part/name`` of the tensors in the shards of a checkpoint."""
    try:
        return frozenset(_reader(path).read_metadata().state_dict_metadata)
    except (SafetensorError, OSError, KeyError, ValueError) as e:
        raise CheckpointError(f"{path} is torn: its shards cannot be read: {e}") from e


def read_shards(path: Path, parts: tuple[str, ...] | None) -> dict[str, dict[str, Tensor]]:
    """The divided tensors of a checkpoint, whole again, by part; in this process alone."""
    from torch.distributed.checkpoint.state_dict_loader import load

    about = _reader(path).read_metadata().state_dict_metadata
    wanted = {name: v for name, v in about.items() if parts is None or name.split("/", 1)[0] in parts}
    tensors: dict[str, Any] = {n: torch.empty(v.size, dtype=v.properties.dtype) for n, v in wanted.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it is one process is meant
        load(tensors, storage_reader=_reader(path), no_dist=True)
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        part, name = key.split("/", 1)
        found.setdefault(part, {})[name] = tensor
    return found


@torch.no_grad()
def restore(found: Checkpoint, part: str, live: Mapping[str, Tensor]) -> None:
    """Fill tensors, divided or whole, with those of a checkpoint, divided or whole; all processes call it.

    Raises:
        CheckpointError: the names or the shapes are others.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.state_dict_loader import load
    from torch.distributed.tensor import distribute_tensor

    whole = found.parts.get(part, {})
    known = {*whole, *(key.split("/", 1)[1] for key in found.divided if key.startswith(f"{part}/"))}
    if odd := sorted(known ^ set(live)):
        raise CheckpointError(
            f"the part '{part}' of {found.path} does not fit this model: {len(odd)} names differ, first '{odd[0]}'"
        )
    for name, tensor in live.items():
        value: Any = whole.get(name)
        if value is None:
            continue
        if value.shape != tensor.shape:
            raise CheckpointError(
                f"'{name}' in {found.path} has the shape {tuple(value.shape)}, not {tuple(tensor.shape)}"
            )
        if is_sharded(tensor):
            place: Any = tensor
            value = distribute_tensor(value.to(place.device), place.device_mesh, place.placements, src_data_rank=None)
        tensor.copy_(value)
    rest: dict[str, Any] = {f"{part}/{name}": tensor for name, tensor in live.items() if name not in whole}
    if not rest:
        return
    try:
        load(rest, storage_reader=_reader(found.path))
    except CheckpointException as e:
        raise CheckpointError(f"the shards of {found.path} do not fit this model: {_first(e)}") from e


def _first(error: BaseException) -> str:
    """The reason of the first process that failed, without its traceback."""
    failures = getattr(error, "failures", None)
    if not failures:
        return str(error)
    return str(next(iter(failures.values()))[0])
