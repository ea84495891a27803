"""Images in, rows of numbers out: a part at a time, resumable, shared among processes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ornstein.core.errors import DataError, OrnsteinError
from ornstein.evaluation.features.extractors import Extractor
from ornstein.evaluation.rows import Rows
from ornstein.evaluation.sources import Source

PART = 1000
"""Images of a part: what is redone after an interruption, and the unit that processes share out."""

BATCH = 250
"""Images that are held at a time."""

Single = Callable[[Tensor], Tensor]
Pair = Callable[[Tensor, Tensor], Tensor]
OnPart = Callable[[int, int], None]


def collect(
    source: Source,
    extractor: Extractor,
    *,
    name: str = "samples",
    single: Mapping[str, Single] | None = None,
    paired: Mapping[str, Pair] | None = None,
    partner: Source | None = None,
    about: str = "",
    work: Path | None = None,
    on_part: OnPart | None = None,
) -> Rows:
    """The rows of all images of a source.

    Args:
        name: what the images are, for messages.
        single, paired: columns by name: ``[B, C, H, W]`` uint8 (twice for ``paired``, the second from ``partner``) ->
            ``[B]``.
        about: what the columns depend on beside their names: parts made under something else are not taken.
        work: a folder where finished parts are kept; parts of the same source and extractor found there are not redone.
        on_part: told after each part how many images are done, of how many.

    Under ``torch.distributed`` each process does its share of the parts and all get all rows.

    Raises:
        DataError: no images; features that are not finite (names the images).
    """
    total = len(source)
    if total == 0:
        raise DataError(f"no {name} to measure")
    single, paired = single or {}, paired or {}
    key = _key(source, extractor, [*single, *paired, about], partner) if work is not None else ""
    rank, world = ranks()
    mine: dict[int, Rows] = {}
    numbers = range(rank, -(-total // PART), world)
    for done, number in enumerate(numbers, 1):
        part = slice(number * PART, min((number + 1) * PART, total))
        file = None if work is None else work / f"{name.replace(' ', '-')}-{key[:12]}-{number:06d}.safetensors"
        rows = None if file is None else _read(file, key)
        if rows is None:
            rows = _measure(source, part, extractor, name, single, paired, partner)
            if file is not None:
                _write(file, key, rows)
        mine[number] = rows
        if on_part is not None:
            on_part(min(done * PART * world, total), total)
    parts = _gather(mine) if world > 1 else mine
    return Rows.join([parts[i] for i in sorted(parts)])


def _measure(
    source: Source,
    part: slice,
    extractor: Extractor,
    name: str,
    single: Mapping[str, Single],
    paired: Mapping[str, Pair],
    partner: Source | None,
) -> Rows:
    rows = []
    for start in range(part.start, part.stop, BATCH):
        index = slice(start, min(start + BATCH, part.stop))
        batch = source[index]
        found = extractor(batch.x)
        bad = (~torch.isfinite(found.features).all(1)).nonzero().flatten()
        if len(bad):
            raise DataError(
                f"the features of the {name} hold NaN or infinity, first of image {start + int(bad[0])}; "
                "the images or the extractor are broken"
            )
        columns = {key: f(batch.x).double() for key, f in single.items()}
        if partner is not None and paired:
            other = partner[index].x
            columns |= {key: f(batch.x, other).double() for key, f in paired.items()}
        rows.append(Rows(found.features, found.logits, batch.cond.get("label"), columns))
    return Rows.join(rows)


def ranks() -> tuple[int, int]:
    """This process's number and how many there are."""
    d = torch.distributed
    return (d.get_rank(), d.get_world_size()) if d.is_available() and d.is_initialized() else (0, 1)


def _gather(mine: dict[int, Rows]) -> dict[int, Rows]:
    """The parts of all processes, by number."""
    everyone: list[dict[int, dict[str, Tensor]] | None] = [None] * ranks()[1]
    torch.distributed.all_gather_object(everyone, {number: rows.tensors() for number, rows in mine.items()})
    return {number: Rows.of(tensors) for part in everyone if part for number, tensors in part.items()}


def _key(source: Source, extractor: Extractor, columns: list[str], partner: Source | None) -> str:
    about = [source.content_hash, extractor.hash, columns, partner.content_hash if partner is not None else "", PART]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _read(file: Path, key: str) -> Rows | None:
    """A finished part; None if there is none, or of another evaluation, or torn."""
    if not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as stored:
            if (stored.metadata() or {}).get("key") != key:
                return None
            return Rows.of({name: stored.get_tensor(name) for name in stored.keys()})  # noqa: SIM118
    except SafetensorError:
        return None


def _write(file: Path, key: str, rows: Rows) -> None:
    """To the side first and renamed into place, so that a part is whole or absent."""
    beside = file.with_suffix(".tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: x.contiguous() for name, x in rows.tensors().items()}, beside, {"key": key})
        os.replace(beside, file)
    except OSError as e:
        raise OrnsteinError(f"cannot write {file}: {e}; choose another place for the result") from e
