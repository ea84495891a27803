"""Samplers' states joined along the batch and taken apart again: tuples, dataclasses and tensors, whatever their depth."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor


def structure(state: Any, rows: int) -> Hashable:
    """What two states must have in common to be joined: nesting, and of each tensor dtype and shape without the batch.

    A tensor without the batch (a time that all samples share) can be joined with one that has it, of the same rank or less.
    """
    if isinstance(state, Tensor):
        if state.ndim and state.shape[0] not in (1, rows):
            return ("whole", id(state))  # no batch is seen in it, so it cannot be joined
        return (state.dtype, tuple(state.shape[1:]) if state.numel() > rows else "per sample")
    if isinstance(state, tuple | list):
        return (type(state), *(structure(part, rows) for part in state))
    if dataclasses.is_dataclass(state):
        parts = [getattr(state, f.name) for f in dataclasses.fields(state)]
        return (type(state), *(structure(part, rows) for part in parts))
    return (type(state), state if isinstance(state, Hashable) else id(state))


def join(states: Sequence[Any], sizes: Sequence[int], rank: int) -> Any:
    """States of equal :func:`structure` as one of ``sum(sizes)`` rows; ``rank`` is that of x."""
    first = states[0]
    if isinstance(first, Tensor):
        return _cat(states, sizes, rank)
    parts = zip(*(_parts(state) for state in states), strict=True)
    return _rebuild(first, [join(part, sizes, rank) for part in parts])


def split(state: Any, sizes: Sequence[int]) -> list[Any]:
    """The rows of each; tensors without the batch go to all."""
    total = sum(sizes)
    if isinstance(state, Tensor):
        per_row = state.ndim > 0 and state.shape[0] == total
        return list(state.split(list(sizes))) if per_row else [state] * len(sizes)
    if isinstance(state, tuple | list) or dataclasses.is_dataclass(state):
        parts = [split(part, sizes) for part in _parts(state)]
        return [_rebuild(state, [part[k] for part in parts]) for k in range(len(sizes))]
    return [state] * len(sizes)


def _cat(leaves: Sequence[Tensor], sizes: Sequence[int], rank: int) -> Tensor:
    first = leaves[0]
    shared = [x.ndim == 0 or (x.shape[0] == 1 and n != 1) for x, n in zip(leaves, sizes, strict=True)]
    if all(shared) and all(x.shape == first.shape and torch.equal(x, first) for x in leaves[1:]):
        return first
    high = max(rank if x.ndim == 0 else x.ndim for x in leaves)
    full = [x.reshape(*x.shape[:1] or (1,), *x.shape[1:], *[1] * (high - max(x.ndim, 1))) for x in leaves]
    return torch.cat([x.expand(n, *x.shape[1:]) for x, n in zip(full, sizes, strict=True)])


def _parts(state: Any) -> list[Any]:
    if dataclasses.is_dataclass(state):
        return [getattr(state, f.name) for f in dataclasses.fields(state)]
    return list(state) if isinstance(state, tuple | list) else []


def _rebuild(like: Any, parts: Sequence[Any]) -> Any:
    """A container like ``like``, of new parts; what is no container is returned as it is."""
    if dataclasses.is_dataclass(like) and not isinstance(like, type):
        return dataclasses.replace(like, **dict(zip((f.name for f in dataclasses.fields(like)), parts, strict=True)))
    if isinstance(like, tuple) and hasattr(like, "_fields"):
        return type(like)(*parts)
    return type(like)(parts) if isinstance(like, tuple | list) else like
