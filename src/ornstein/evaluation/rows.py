"""What is kept of a set of images while it streams by: a row of numbers for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class Rows:
    """``features [N, D]``; ``logits [N, K]`` of an extractor that classifies; ``labels [N]`` that were asked for; and
    ``columns``: numbers by name, ``[N]``, such as the PSNR of each image to its pair."""

    features: Tensor
    logits: Tensor | None = None
    labels: Tensor | None = None
    columns: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.features)

    def take(self, index: Tensor) -> Rows:
        """Some of the rows."""
        return Rows(
            self.features[index],
            None if self.logits is None else self.logits[index],
            None if self.labels is None else self.labels[index],
            {name: column[index] for name, column in self.columns.items()},
        )

    def tensors(self) -> dict[str, Tensor]:
        """By name, for a file."""
        fixed = {"features": self.features, "logits": self.logits, "labels": self.labels}
        out = {name: x for name, x in fixed.items() if x is not None}
        return out | {f"column.{name}": x for name, x in self.columns.items()}

    @staticmethod
    def of(tensors: dict[str, Tensor]) -> Rows:
        """The inverse of :meth:`tensors`."""
        columns = {name.removeprefix("column."): x for name, x in tensors.items() if name.startswith("column.")}
        return Rows(tensors["features"], tensors.get("logits"), tensors.get("labels"), columns)

    @staticmethod
    def join(parts: Sequence[Rows]) -> Rows:
        """One after another."""
        tensors = [p.tensors() for p in parts]
        return Rows.of({name: torch.cat([t[name] for t in tensors]) for name in tensors[0]})
