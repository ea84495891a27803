"""Broadcasting: a time is expanded to the rank of x once, at the boundary; below it everything is plain arithmetic."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ornstein.core.state import AnyState, Ragged


def expand(t: Tensor | float, x: AnyState) -> Tensor:
    """Give ``t`` (a number, ``[]`` or ``[B]``) the rank of ``x`` (``[B, ...]``) so that the two broadcast; float64.

    A scalar stays 0-dimensional. A ``t`` that has x's rank already (one time per coordinate) passes unchanged. For a
    Ragged state the rank is that of its tokens; for a dict, whose parts differ in rank, ``[B]`` stays ``[B]`` and whoever
    handles a part expands it to that part.
    """
    if isinstance(x, Ragged):
        x = x.tokens
    elif isinstance(x, Mapping):
        x = next(iter(x.values())).flatten(1)[:, 0]
    t = torch.as_tensor(t, dtype=torch.float64, device=x.device)
    if t.ndim == 0 or t.ndim == x.ndim:
        return t
    if t.ndim != 1 or t.shape[0] != x.shape[0]:
        raise ValueError(
            f"t has shape {tuple(t.shape)}; expected a number, [{x.shape[0]}], or the rank of x {tuple(x.shape)}"
        )
    return t.reshape(-1, *[1] * (x.ndim - 1))


def per_sample(t: Tensor, batch: int) -> Tensor:
    """The inverse of :func:`expand` for one time per sample: ``[]`` or ``[B, 1, ...]`` -> ``[B]``."""
    if t.ndim == 0:
        return t.expand(batch)
    return t.reshape(t.shape[0], -1)[:, 0].expand(batch)


def cast(x: Tensor, *coefficients: Tensor) -> tuple[Tensor, ...]:
    """Coefficients are computed in float64 and meet the state in its own dtype: cast each to that of ``x``."""
    return tuple(c.to(device=x.device, dtype=x.dtype) for c in coefficients)


def sum_rest(x: Tensor) -> Tensor:
    """Sum over all but the batch dimension: ``[B, ...] -> [B]``."""
    return x.reshape(x.shape[0], -1).sum(1)


def mean_rest(x: Tensor) -> Tensor:
    """Mean over all but the batch dimension: ``[B, ...] -> [B]``."""
    return x.reshape(x.shape[0], -1).mean(1)
