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
    """state = (x - mean) / std - anchor for each column of ``[B, K, L]``; both come from the config, not from weights.

    ``cond["anchor"] [B, K, L]``, where there is one, is a guess on the scale of the state without it, such as
    :func:`interpolated`: what is left to draw is the difference, as with a prior's mean (Lee et al. 2022, 2106.06406).
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
        return state - cond["anchor"] if "anchor" in cond else state

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return (state + cond["anchor"] if "anchor" in cond else state) * self.std + self.mean

    def log_volume(self, x: Tensor) -> Tensor:
        total = -self.std.double().log().sum() * x.shape[-1]
        return total.expand(len(x))


def interpolated(values: Tensor, given: Tensor, position: Tensor) -> Tensor:
    """Between two known cells of a column the line that joins them, beyond the first and the last their value, 0 where a
    column has none: ``values [B, K, L]``, ``given`` bool alike, ``position [B, L]`` increasing.
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
    return torch.where(none, 0.0, y_left + part * (y_right - y_left))
