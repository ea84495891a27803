r"""Brownian paths: noise that does not change with the number of steps.

W is fixed on [0, 1] by a sample's seed. Its values are found by bisection: given W at both ends of an interval of width w,
the midpoint is their mean plus sqrt(w)/2 times a normal that belongs to that interval alone, whoever asks and whenever.
Intervals are halved until they are narrow beside the time asked for, so that small times are resolved as well as large
ones. Source: the virtual Brownian tree of Gaines & Lyons 1997 and of Li et al. 2020, 2001.01328.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.rng import Rng
from ornstein.core.shapes import per_sample

_DEPTH = 14
"""Intervals are halved until they are narrower than this power of 1/2 of their left end."""
_DEEPEST = 64
"""Beyond 2^-64 a time counts as 0."""


class _Normals:
    """One normal for each interval of each path: a generator whose state is counted, not run, so any is as near."""

    def __init__(self) -> None:
        self._bits = np.random.Philox(key=0)
        self._generator = np.random.Generator(self._bits)
        self._state: dict[str, Any] = dict(self._bits.state)

    def __call__(self, seed: int, level: int, index: int, shape: Sequence[int]) -> np.ndarray:
        word = 2**64 - 1
        counter = np.array([0, index & word, level, 0], dtype=np.uint64)
        key = np.array([seed & word, 0x0B20_3141], dtype=np.uint64)
        state: Any = {**self._state, "state": {"counter": counter, "key": key}}
        self._bits.state = state
        return np.asarray(self._generator.standard_normal(tuple(shape), np.float32), dtype=np.float64)


@final
class Brownian(Rng):
    r"""Per-sample seeds whose steps share one Brownian path: ``between(x, t, s)`` = (W_t - W_s)/sqrt(t - s).

    A drop-in for :class:`ornstein.core.rng.Rng`: the starting noise and all draws that are not the noise of a step in time
    are the same. With it every sampler that integrates a stochastic differential equation converges path by path as its
    steps shrink, to one limit for all of them, so that previews at few steps resemble the final sample. The path is drawn
    in single precision and summed in double. Cost: about 20 small draws per sample and step.
    """

    def __init__(self, seeds: Iterable[int]):
        super().__init__(seeds)
        self._normals = _Normals()
        self._last: dict[int, tuple[float, np.ndarray]] = {}

    def between(self, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        if x.shape[0] != len(self):
            raise ValueError(f"asked for a batch of {x.shape[0]} from a path of {len(self)} seeds")
        begin, end = (per_sample(torch.as_tensor(a).double().cpu(), len(self)).tolist() for a in (s, t))
        out = torch.empty(x.shape, dtype=torch.float64)
        for row, seed, low, high in zip(out, self.seeds, begin, end, strict=True):
            row.copy_(torch.from_numpy(self._increment(seed, min(low, high), max(low, high), x.shape[1:])))
        return out.to(device=x.device, dtype=x.dtype)

    def _increment(self, seed: int, low: float, high: float, shape: Sequence[int]) -> np.ndarray:
        if not 0 <= low < high <= 1:
            raise UsageError(f"a Brownian path has increments within 0 <= s < t <= 1; asked for {low:g} to {high:g}")
        if high - low < 2.0**-_DEPTH * low:
            raise UsageError(f"a Brownian path does not resolve steps as short as from {high:g} to {low:g}")
        t, known = self._last.get(seed, (-1.0, None))  # a step begins where the former ended
        above = known if known is not None and t == high and known.shape == shape else self.value(seed, high, shape)
        below = self.value(seed, low, shape)
        self._last[seed] = low, below
        return np.asarray((above - below) / np.sqrt(high - low))

    def value(self, seed: int, t: float, shape: Sequence[int]) -> np.ndarray:
        """W_t of a seed's path, float64."""
        left, right = np.zeros(tuple(shape)), self._normals(seed, 0, 0, shape)
        if t in (0, 1):
            return right if t else left
        level, index, low, width = 0, 0, 0.0, 1.0
        while level < _DEEPEST and width > 2.0**-_DEPTH * low:
            level, width = level + 1, width / 2
            middle: np.ndarray = (left + right) / 2 + np.sqrt(width / 2) * self._normals(seed, level, index, shape)
            if t == low + width:
                return middle
            if t < low + width:
                right, index = middle, 2 * index
            else:
                left, index, low = middle, 2 * index + 1, low + width
        part = (t - low) / width
        spread = np.sqrt(part * (1 - part) * width)  # of a bridge over the last interval
        return np.asarray((1 - part) * left + part * right + spread * self._normals(seed, level + 1, index, shape))
