"""Encode once: what a codec makes of a set, kept in the cache as decoded pictures are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from ornstein.core.batch import Batch
from ornstein.data.dataset import Arrays, Images, Table
from ornstein.data.decoded import cached
from ornstein.data.store import Writer


def encode_once(
    table: Table,
    encode: Callable[[Batch], Tensor],
    by: Mapping[str, Any],
    kind: str = "latents",
    batch: int = 256,
) -> Arrays:
    """The set with ``encode(batch)`` in place of its samples; labels, captions and conditions stay.

    Args:
        encode: a function of the batch alone (a codec's mean, not a draw); ``[B, ...]`` to ``[B, ...]``, float32 or a type
            that is kept (:data:`ornstein.data.dataset.DTYPES`).
        by: what the encoder is, as JSON: name and the hash of its weights. Another encoder, or other data, is encoded anew.
        kind: what comes out, one of :data:`ornstein.data.KINDS`.
    """

    def build(writer: Writer) -> None:
        for start in range(0, len(table), batch):
            rows = slice(start, start + batch)
            x = encode(table[rows]).detach().cpu().contiguous().numpy()
            writer.add(
                x,
                None if table.labels is None else table.labels[rows],
                None if table.captions is None else table.captions[rows],
                {name: value[rows] for name, value in table.conds.items()},
            )
        writer.finish(kind, table.name, table.classes, table.source, table.licence, made_from=dict(by))

    origin = {"data": table.source or table.name, "kind": kind, "encoder": by.get("name", "")}
    found = cached(f"{table.name}-{kind}", origin, [dict(by), kind, table.content_hash], build)
    if isinstance(found, Images):
        raise TypeError("an encoder makes arrays, not images")
    return found
