r"""Columns of series <-> columns of mean 0 and variance 1; what is missing (NaN) stays so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import DataError, UsageError
from ornstein.core.rng import Random


@final
class Standard(Codec):
    """state = ((x - mean) / std - anchor) / spread for each column of ``[B, K, L]``; mean and std come from the config.

    ``cond["anchor"] [B, K, L]``, where there is one, is a guess on the scale of the state without it, and ``cond["spread"]``
    by how much it is expected to miss, such as those of :class:`Line`: what is left to draw is the difference in that unit,
    as with a prior's mean and variance (Lee et al. 2022, 2106.06406).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        if len(mean) != len(std) or not mean or not all(s > 0 for s in std):
            raise UsageError(f"each column needs a mean and a positive standard deviation, got {mean} and {std}")
        self.register_buffer("mean", torch.tensor(mean)[:, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None], persistent=False)

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        if x.ndim != 3 or x.shape[1] != len(self.mean):
            raise DataError(f"expected series [B, {len(self.mean)}, L], got {tuple(x.shape)}")
        state = (x - self.mean) / self.std
        state = state - cond["anchor"] if "anchor" in cond else state
        return state / cond["spread"] if "spread" in cond else state

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        state = state * cond["spread"] if "spread" in cond else state
        return (state + cond["anchor"] if "anchor" in cond else state) * self.std + self.mean

    def log_volume(self, x: Tensor) -> Tensor:
        total = -self.std.double().log().sum() * x.shape[-1]
        return total.expand(len(x))


DISTANCES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Distances to what is known, in steps, at which the spread around a line is told; a cell between two known neighbours is half a
step away from them in the sense of :func:`interpolated`."""


@final
class Line:
    r"""A guess of every cell and how far it misses: the line between the known neighbours, and a spread by the distance to them.

    ``spread`` holds for each column the root mean square of what the line misses at each of :data:`DISTANCES`, on the scale of
    columns of variance 1; between them it is interpolated in the logarithm of the distance. Empty: 1 everywhere. A column of
    which nothing is known has the guess 0 and the spread 1, its mean and its deviation.
    """

    def __init__(self, spread: Sequence[float] = ()):
        if len(spread) % len(DISTANCES) or not all(s > 0 for s in spread):
            raise UsageError(f"spread holds {len(DISTANCES)} positive numbers for each column, got {tuple(spread)}")
        self.spread = torch.tensor(spread, device="cpu").reshape(-1, len(DISTANCES))

    def __call__(self, values: Tensor, given: Tensor, position: Tensor) -> dict[str, Tensor]:
        """The conditions ``anchor`` and ``spread``, each ``[B, K, L]``; the arguments are those of :func:`interpolated`."""
        anchor, distance = interpolated(values, given, position)
        if not len(self.spread):
            return {"anchor": anchor, "spread": torch.ones_like(anchor)}
        if len(self.spread) != values.shape[1]:
            raise UsageError(f"the spread is that of {len(self.spread)} columns, the series have {values.shape[1]}")
        place = ((distance / DISTANCES[0]).log2()).clamp(0, len(DISTANCES) - 1)
        lower = place.floor().clamp_max(len(DISTANCES) - 2)
        table = self.spread.to(anchor).expand(len(anchor), -1, -1)
        low, high = (table.gather(-1, lower.long() + i) for i in (0, 1))
        spread = low + (place - lower) * (high - low)
        return {"anchor": anchor, "spread": torch.where(distance.isinf(), 1.0, spread)}


def interpolated(values: Tensor, given: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    r"""Between two known cells of a column the line that joins them, beyond the first and the last their value, 0 where a
    column has none: ``values [B, K, L]``, ``given`` bool alike, ``position [B, L]`` increasing.

    With it the distance 1/(1/d_before + 1/d_after) to the known neighbours, infinite where there are none: the variance of a
    Brownian motion between two known values, and beyond the last one. It is at least :data:`DISTANCES`\ ``[0]``.
    """
    length = values.shape[-1]
    step = torch.arange(length, device=values.device).expand_as(values)
    before = torch.where(given, step, -1).cummax(-1).values
    after = torch.where(given, step, length).flip(-1).cummin(-1).values.flip(-1)
    none = before[..., -1:] < 0
    left = torch.where(before < 0, after, before).clamp(0, length - 1)
    right = torch.where(after >= length, before, after).clamp(0, length - 1)
    known = torch.where(given, values, 0.0)
    y_left, y_right = known.gather(-1, left), known.gather(-1, right)
    when = position[:, None].expand_as(values)
    t_left, t_right = when.gather(-1, left), when.gather(-1, right)
    part = torch.where(right > left, (when - t_left) / (t_right - t_left).clamp_min(1e-12), torch.zeros_like(when))
    line = torch.where(none, 0.0, y_left + part * (y_right - y_left))
    ago, ahead = (when - t_left).abs().clamp_min(1e-12), (t_right - when).abs().clamp_min(1e-12)
    distance = torch.where(right > left, 1 / (1 / ago + 1 / ahead), ago).clamp_min(DISTANCES[0])
    return line, torch.where(none, torch.inf, distance)
