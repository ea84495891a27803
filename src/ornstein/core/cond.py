"""Conditions: one mapping from name to tensor, the same for networks, denoisers, samplers and codecs.

Every tensor has the batch as its first dimension. A *missing* condition (what classifier-free guidance calls null)
is said per sample, so that one batch may mix conditional and unconditional rows:

===========  =======================  ==========================
name         shape and dtype          missing is
===========  =======================  ==========================
label        ``[B]`` int64            ``-1``
(vectors)    ``[B, D]`` float         NaN in the row
text         ``[B, L, D]`` float      NaN in the row (``text_mask`` ``[B, L]`` bool marks padding)
(images)     ``[B, C, H, W]`` float   NaN in the row
===========  =======================  ==========================

A name that a network knows and the mapping lacks is missing for all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

Cond = Mapping[str, Tensor]
TOLD = frozenset({"augment"})
"""Conditions that training always tells: what was done to a sample. Where it were not told, the model would learn that data
look so."""
NO_COND: Cond = MappingProxyType({})


def missing_like(value: Tensor) -> Tensor:
    """The 'missing' value of a condition: -1 for integers, False for masks, NaN for floats."""
    if value.dtype == torch.bool:
        return torch.zeros_like(value)
    if value.is_floating_point():
        return torch.full_like(value, torch.nan)
    return torch.full_like(value, -1)


def is_missing(value: Tensor) -> Tensor:
    """``[B]`` bool: which rows of a condition are missing."""
    if value.dtype == torch.bool:
        return ~value.reshape(value.shape[0], -1).any(1)
    rows = value.reshape(value.shape[0], -1)[:, 0]
    return rows.isnan() if value.is_floating_point() else rows < 0


def null(cond: Cond) -> dict[str, Tensor]:
    """The same names, all rows missing: the unconditional branch of guidance."""
    return {name: missing_like(value) for name, value in cond.items()}


def drop(cond: Cond, keep: Tensor) -> dict[str, Tensor]:
    """Make rows missing where ``keep`` (``[B]`` bool) is False: condition dropout in training. Those of :data:`TOLD` stay."""
    return {
        name: v if name in TOLD else torch.where(keep.to(v.device).reshape(-1, *[1] * (v.ndim - 1)), v, missing_like(v))
        for name, v in cond.items()
    }


def cat(conds: Sequence[Cond]) -> dict[str, Tensor]:
    """Join along the batch; all must have the same names."""
    names = set(conds[0])
    for c in conds:
        if set(c) != names:
            raise ValueError(f"conditions differ in names: {sorted(names)} and {sorted(c)}")
    return {name: torch.cat([c[name] for c in conds]) for name in conds[0]}


def rows(cond: Cond, index: Tensor | slice) -> dict[str, Tensor]:
    """A part of the batch."""
    return {name: value[index] for name, value in cond.items()}


def to(cond: Cond, device: torch.device | str) -> dict[str, Tensor]:
    """Move every condition to a device."""
    return {name: value.to(device) for name, value in cond.items()}
