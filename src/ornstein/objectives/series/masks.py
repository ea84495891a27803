r"""Which observed cells are hidden in training: a mask m_co of what stays known, drawn within what was observed.

``observed [B, K, L]`` bool goes in, ``given [B, K, L]`` bool comes out, a part of it. Tashiro et al. 2021, 2107.03502,
section 4.4 (random, historical, mix); Lopez Alcaraz & Strodthoff 2022, 2208.09399, section 4 (segments, blackout, forecast).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import UsageError, unknown
from ornstein.core.rng import Random

Draw = Callable[[Tensor, Random], Tensor]


def random(observed: Tensor, rng: Random) -> Tensor:
    """A share of the cells, drawn from U(0, 1) for each sample, is hidden, cell by cell."""
    share = rng.uniform((len(observed), 1, 1), device=observed.device)
    return observed & (rng.uniform(tuple(observed.shape), device=observed.device) >= share)


def historical(observed: Tensor, rng: Random) -> Tensor:
    """What another sample of the batch lacks is hidden: gaps as they really come. Where it lacks nothing, nothing is hidden."""
    return observed & observed.roll(1, 0)


def _segments(observed: Tensor, rng: Random, columns: int) -> Tensor:
    """``[B, columns, L]`` bool: one run of steps, of a length from U{1 .. L - 1}, anywhere."""
    b, _, length = observed.shape
    size = 1 + rng.integers(length - 1, (b, columns, 1), device=observed.device)
    start = (rng.uniform((b, columns, 1), device=observed.device) * (length - size + 1)).floor()
    step = torch.arange(length, device=observed.device)
    return (step >= start) & (step < start + size)


def segments(observed: Tensor, rng: Random) -> Tensor:
    """In each column a run of steps of its own is hidden, in a random half of the columns at least."""
    hidden = _segments(observed, rng, observed.shape[1])
    chosen = rng.uniform((*observed.shape[:2], 1), device=observed.device) < 0.5
    # A sample in which chance chose no column hides its first one.
    chosen[:, 0] |= ~chosen.any(1)
    return observed & ~(hidden & chosen)


def blackout(observed: Tensor, rng: Random) -> Tensor:
    """The same run of steps is hidden in all columns."""
    return observed & ~_segments(observed, rng, 1)


def forecast(horizon: int) -> Draw:
    """The last ``horizon`` steps are hidden."""

    def draw(observed: Tensor, rng: Random) -> Tensor:
        if not 0 < horizon < observed.shape[-1]:
            raise UsageError(f"the horizon must lie in 1 .. {observed.shape[-1] - 1} of a window, got {horizon}")
        given = observed.clone()
        given[..., -horizon:] = False
        return given

    return draw


MASKS: dict[str, Draw] = {
    "random": random, "historical": historical, "segments": segments, "blackout": blackout,
}  # fmt: skip


@final
@dataclass(frozen=True)
class Masks:
    """One of several ways for each sample, all equally likely."""

    draws: tuple[Draw, ...]

    def __call__(self, observed: Tensor, rng: Random) -> Tensor:
        if len(self.draws) == 1:
            return self.draws[0](observed, rng)
        which = rng.integers(len(self.draws), (len(observed), 1, 1), device=observed.device)
        return torch.stack([torch.where(which == i, d(observed, rng), False) for i, d in enumerate(self.draws)]).any(0)


def get_masks(names: tuple[str, ...], horizon: int = 0) -> Masks:
    """By name: :data:`MASKS`, and ``forecast``, which needs a horizon."""
    known = {**MASKS, "forecast": forecast(horizon)}
    if not names:
        raise UsageError(f"name at least one way to hide values: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise unknown("mask", name, known)
    return Masks(tuple(known[name] for name in names))
