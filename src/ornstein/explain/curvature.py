r"""How crooked a trajectory is. A straight one could be drawn in a single step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.core.errors import UsageError

STILL = 1e-12
"""Shorter moves than this have no direction."""


@dataclass(frozen=True)
class Curvature:
    """Of ``n`` trajectories.

    ``curvature [N - 1, n]``: at each inner state, that of the circle through it and its neighbours, 1 / radius.
    ``turn [N - 1, n]``: the angle there between one step and the next, in radians.
    ``length [n]`` of the way, ``chord [n]`` between its ends; their ratio is 1 for a straight way.
    """

    curvature: Tensor
    turn: Tensor
    length: Tensor
    chord: Tensor

    @property
    def detour(self) -> Tensor:
        """length / chord, ``[n]``."""
        return self.length / self.chord.clamp_min(STILL)


def curvature(states: Tensor) -> Curvature:
    r"""Of states ``[N + 1, n, ...]``, N >= 2: Menger's kappa = 4 area / (|ab| |bc| |ca|) = 2 sin(angle at b) / |ca|.

    Exact for points of a straight line (0) and of a circle (1 / radius), however far they are apart.
    """
    if len(states) < 3:
        raise UsageError(f"curvature needs at least 3 states, got {len(states)}")
    x = states.flatten(2).double()
    moves = x[1:] - x[:-1]
    lengths = moves.norm(dim=-1)
    before, after = moves[:-1], moves[1:]
    # atan2 of |u| v and |v| u keeps small angles, where arccos of a product near 1 loses half the digits.
    u, v = before * lengths[1:, :, None], after * lengths[:-1, :, None]
    turn = 2 * torch.atan2((u - v).norm(dim=-1), (u + v).norm(dim=-1))
    moving = torch.minimum(lengths[:-1], lengths[1:]) > STILL
    turn = torch.where(moving, turn, 0.0)
    across = (x[2:] - x[:-2]).norm(dim=-1)
    kappa = torch.where(moving & (across > STILL), 2 * turn.sin() / across.clamp_min(STILL), 0.0)
    return Curvature(kappa, turn, lengths.sum(0), (x[-1] - x[0]).norm(dim=-1))
