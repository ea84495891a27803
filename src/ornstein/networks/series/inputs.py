r"""What a network of series is told, by name; all may be left out.

============  =================  ==============================================================================
name          shape              is
============  =================  ==============================================================================
values        ``[B, K, L]``      what is known, 0 elsewhere
given         ``[B, K, L]``      1 where a cell is known (default: nowhere)
sought        ``[B, K, L]``      1 where a cell is to be drawn (default: wherever it is not given)
anchor        ``[B, K, L]``      a guess of every cell, to which the state is the difference
spread        ``[B, K, L]``      the unit of that difference: by how much the guess is expected to miss (default: 1)
position      ``[B, L]``         the time of each step, in steps (default: 0, 1, 2, ..)
calendar      ``[B, L, W]``      features of the calendar
static        ``[B, S]``         covariates of the whole series
label         ``[B]``            the series' class, -1 where none is told
============  =================  ==============================================================================

Each may have one row in place of B: then all samples share it, and what follows from it alone is computed once.

A cell that is neither given nor sought does not exist for the network: a value that nobody observed cannot be trained on, and
noise in its place would be taken for noise on a zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import Cond
from ornstein.core.errors import UsageError
from ornstein.networks.layers.embedding import Sinusoidal


@final
@dataclass(frozen=True)
class Told:
    """Each ``[B, K, L]`` in the state's dtype, or ``[1, K, L]`` where samples share it; ``unit`` is the spread's logarithm."""

    values: Tensor
    given: Tensor
    sought: Tensor
    anchor: Tensor
    unit: Tensor


def told(x: Tensor, cond: Cond) -> Told:
    """What the conditions say of each cell of ``x [B, K, L]``."""
    none = torch.zeros_like(x[:1])
    given = cond["given"].to(x.dtype) if "given" in cond else none
    sought = cond["sought"].to(x.dtype) if "sought" in cond else 1 - given
    values = cond["values"].to(x.dtype) * given if "values" in cond else none
    anchor = cond["anchor"].to(x.dtype) if "anchor" in cond else none
    unit = cond["spread"].to(x.dtype).log() if "spread" in cond else none
    return Told(values, given, sought, anchor, unit)


@final
class Clock(nn.Module):
    """Times, calendar and covariates as one vector for each step: ``[B, L, width]``, or ``[1, L, width]`` where nothing tells
    the samples apart. The sinusoids of the position are those of Tashiro et al. 2021, section 4.3."""

    def __init__(self, width: int, calendar: int = 0, static: int = 0, embedding: int = 128):
        super().__init__()
        self.embed = Sinusoidal(embedding)
        self.time = nn.Linear(embedding + calendar, width)
        self.static = nn.Linear(static, width, bias=False) if static else None
        self.calendar, self.statics = calendar, static

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        length = x.shape[-1]
        position = cond.get("position")
        if position is None:
            position = torch.arange(length, device=x.device)[None]
        parts = [self.embed(position.flatten()).reshape(*position.shape, -1)]
        if self.calendar:
            parts.append(_require(cond, "calendar", x, (length, self.calendar)))
        rows = max(len(p) for p in parts)
        side = self.time(torch.cat([p.expand(rows, -1, -1).to(x.dtype) for p in parts], -1))
        if self.static is not None:
            side = side + self.static(_require(cond, "static", x, (self.statics,)).to(x.dtype))[:, None]
        return side


def _require(cond: Cond, name: str, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A condition of that shape; one that is not told is zero, the mean of the training data."""
    value = cond.get(name)
    if value is None:
        return torch.zeros((1, *shape), device=x.device)
    if tuple(value.shape[1:]) != shape:
        raise UsageError(f"the network takes '{name}' of shape {shape} for each series, got {tuple(value.shape[1:])}")
    return value
