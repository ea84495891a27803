"""Means between two records. Their sums are part of a checkpoint, so that a resumed run writes the same records."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

BINS = 8


class Meters:
    """Means and maxima by name, since the last record."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}
        self._highs: dict[str, float] = {}

    def add(self, name: str, total: float, count: int = 1) -> None:
        """``count`` values that sum to ``total``."""
        entry = self._sums.setdefault(name, [0.0, 0])
        entry[0] += total
        entry[1] += count

    def high(self, name: str, value: float) -> None:
        """A value of which the largest is wanted."""
        self._highs[name] = max(value, self._highs.get(name, -math.inf))

    def levels(self, t: Tensor, loss: Tensor) -> None:
        """Per-sample noise levels in [0, 1] and losses of a batch: mean loss by level, in equal bins."""
        where = (t.reshape(-1).cpu() * BINS).long().clamp_(0, BINS - 1)
        sums = torch.bincount(where, weights=loss.reshape(-1).double().cpu(), minlength=BINS)
        counts = torch.bincount(where, minlength=BINS)
        for b, (total, count) in enumerate(zip(sums.tolist(), counts.tolist(), strict=True)):
            if count:
                self.add(f"loss/level_{b}", total, count)

    def take(self) -> dict[str, float]:
        """What was gathered, finite values only (JSON has no others); then start anew."""
        out = {name: total / count for name, (total, count) in self._sums.items()} | self._highs
        self._sums, self._highs = {}, {}
        return {k: v for k, v in out.items() if math.isfinite(v)}

    def state(self) -> dict[str, Any]:
        """Numbers that JSON keeps to the last bit."""
        return {"sums": self._sums, "highs": {k: v for k, v in self._highs.items() if math.isfinite(v)}}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._sums = {name: [float(total), int(count)] for name, (total, count) in state["sums"].items()}
        self._highs = {name: float(value) for name, value in state["highs"].items()}
