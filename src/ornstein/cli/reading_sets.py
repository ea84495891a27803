"""Named sets of anything but images, as what the metrics of ``ornstein evaluate`` take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation.sources import spread

if TYPE_CHECKING:
    from ornstein.data import Arrays

_MODALITIES = {
    "series": "series", "tokens": "text", "audio": "audio", "video": "video", "points": "points", "volumes": "voxels",
}  # fmt: skip
_OWN = {"molecules": "molecules", "proteins": "proteins"}
"""Sets whose arrays mean more than their kind says."""


def modality_of_set(word: str | Path) -> str | None:
    """The modality of a named set; None where the word names none, or one of images, or a file of that name lies here."""
    from ornstein.data.sources import SOURCES

    name = str(word)
    if name not in SOURCES or Path(name).exists():
        return None
    return _OWN.get(name) or _MODALITIES.get(SOURCES[name].kind)


def default_split(word: str | Path) -> str | None:
    """``test`` of a named set that has one; None of what is no named set."""
    from ornstein.data.sources import get

    if modality_of_set(word) is None:
        return None
    splits = get(str(word)).splits
    return "test" if "test" in splits else splits[0]


def read_set(word: str | Path, kind: str, split: str, n: int | None) -> tuple[Any, int]:
    """Up to ``n`` samples of a split, spread evenly over it, and how many there are.

    Raises:
        UsageError: the set holds something else. DataError: no such split, or it cannot be fetched.
    """
    from ornstein.data.sources import check_split, get

    source = get(str(word))
    check_split(source.name, split, source.splits)
    if kind not in (held := {modality_of_set(word), _MODALITIES.get(source.kind)}):
        raise UsageError(f"'{word}' holds {' or '.join(sorted(map(str, held)))}, and the metrics are of {kind}")
    table: Any = source.read(split)
    total = len(table)
    if n is not None:
        table = table.take(spread(total, min(n, total)).numpy())
    return _MAKERS[kind](table), total


def _lengths(table: Arrays) -> list[int]:
    """How much of each sample counts, along its first axis of time, tokens or points."""
    axis = {"audio": 2, "series": 2}.get(table.kind, 1)
    return [int(n) for n in table.conds.get("length", np.full(len(table), table.x.shape[axis]))]


def _series(table: Arrays) -> Any:
    """Cells that are missing are NaN in the set."""
    import torch

    from ornstein.evaluation import Series

    lengths = set(_lengths(table))
    if len(lengths) > 1:
        raise DataError(
            f"'{table.name}' has series of {min(lengths)} to {max(lengths)} steps, and metrics of series take one length"
        )
    x = torch.from_numpy(np.array(table.x[..., : lengths.pop()], dtype=np.float64)).transpose(1, 2)
    seen = torch.isfinite(x)
    return Series(x.nan_to_num(), None if bool(seen.all()) else seen)


def _words(table: Arrays) -> list[str]:
    return [table.text(i) for i in range(len(table))]


def _texts(table: Arrays) -> Any:
    from ornstein.evaluation import Texts

    return Texts(_words(table))


def _molecules(table: Arrays) -> Any:
    from ornstein.evaluation.molecules import Molecules

    return Molecules(_words(table))


def _clips(table: Arrays) -> Any:
    from ornstein.evaluation.audio import Clip, Clips

    scale = np.iinfo(table.x.dtype).max + 1 if table.x.dtype.kind == "i" else 1
    words = table.captions or [""] * len(table)
    return Clips(
        [
            Clip(np.array(x[0, :length], dtype=np.float32) / scale, round(table.rate), str(words[i]))
            for i, (x, length) in enumerate(zip(table.x, _lengths(table), strict=True))
        ]
    )


def _videos(table: Arrays) -> Any:
    import torch

    from ornstein.evaluation.video import Videos

    return Videos([torch.from_numpy(np.array(x[:n])) for x, n in zip(table.x, _lengths(table), strict=True)])


def _clouds(table: Arrays) -> Any:
    import torch

    from ornstein.evaluation.points import Clouds

    return Clouds([torch.from_numpy(np.array(x[:n])) for x, n in zip(table.x, _lengths(table), strict=True)])


def _grids(table: Arrays) -> Any:
    import torch

    from ornstein.evaluation.voxels import Grids

    if table.x.shape[1] != 1:
        raise DataError(f"'{table.name}' has {table.x.shape[1]} channels, and metrics of volumes take one")
    return Grids(torch.from_numpy(np.array(table.x[:, 0], dtype=np.int64)))


def _chains(table: Arrays) -> Any:
    from ornstein.evaluation.proteins import Chain, Chains

    return Chains(
        [
            Chain(np.array(x[:n], dtype=np.float64).reshape(-1, 4, 3))
            for x, n in zip(table.x, _lengths(table), strict=True)
        ]
    )


_MAKERS: dict[str, Callable[[Any], Any]] = {
    "series": _series,
    "text": _texts,
    "molecules": _molecules,
    "audio": _clips,
    "video": _videos,
    "points": _clouds,
    "voxels": _grids,
    "proteins": _chains,
}
