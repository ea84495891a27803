"""Texts that belong to the samples of a set, in one block of bytes, so that a million of them can stay on disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final, overload

import numpy as np

from ornstein.core.errors import DataError


@final
class Captions(Sequence[str]):
    """``texts`` uint8: all texts in UTF-8, one after another; ``ends [N]`` int64: where each ends. Either may be mapped.

    A sample without a text has the empty one.
    """

    def __init__(self, texts: np.ndarray, ends: np.ndarray):
        if texts.dtype != np.uint8 or texts.ndim != 1 or ends.dtype != np.int64 or ends.ndim != 1:
            raise DataError(
                f"captions take bytes [L] and int64 ends [N], got {texts.dtype} of shape {texts.shape} and "
                f"{ends.dtype} of shape {ends.shape}; Captions.of(list of strings) makes them"
            )
        if len(ends) and int(ends[-1]) != len(texts):
            raise DataError(f"captions end at byte {int(ends[-1])} of {len(texts)}; the set is torn: make it again")
        self.texts, self.ends = texts, ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> Captions:
        """Captions from strings."""
        parts = [text.encode("utf-8") for text in texts]
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        return cls(np.frombuffer(b"".join(parts), dtype=np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"caption {index} of {len(self)}")
        index %= len(self)
        start = int(self.ends[index - 1]) if index else 0
        return self.texts[start : int(self.ends[index])].tobytes().decode("utf-8")

    def take(self, rows: np.ndarray | slice) -> Captions:
        """Those of some samples."""
        return Captions.of([self[int(i)] for i in np.arange(len(self))[rows]])
