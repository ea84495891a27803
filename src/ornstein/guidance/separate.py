"""Guidance by several conditions, each with a strength of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from ornstein.core import cond as conditions
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac
from ornstein.core.errors import UsageError
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser


@final
class Separate(Denoiser):
    r"""E[x_0] = D(none) + sum_i w_i (D(c_i alone) - D(none)), ``scales`` w_i by the condition's name.

    Conditions that are not named are the same in all branches. One network call on a batch of one branch more than there are
    scales. Cheng et al. 2022, 2208.12675, eq. 5, for a sketch and a stroke.
    """

    def __init__(self, denoiser: Denoiser, scales: Mapping[str, float]):
        super().__init__()
        if not scales:
            raise UsageError("separate guidance needs the name and the scale of a condition at least")
        self.denoiser, self.process, self.scales = denoiser, denoiser.process, dict(scales)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
        t = expand(t, x_t)
        absent = sorted(set(self.scales) - set(cond))
        if absent:
            raise UsageError(f"guidance by '{absent[0]}' was asked for, and it was not given: give it, or leave it out")
        rest = {k: v for k, v in cond.items() if k not in self.scales}
        none = {**rest, **conditions.null({k: cond[k] for k in self.scales})}
        branches = [none, *({**none, k: cond[k]} for k in self.scales)]
        many = len(branches)
        at = t if t.ndim == 0 else torch.cat([t] * many)
        base, *alone = self.denoiser(torch.cat([x_t] * many), at, conditions.cat(branches)).mean.chunk(many)
        total = base
        for mean, scale in zip(alone, self.scales.values(), strict=True):
            total = total + scale * (mean - base)
        return Dirac(total)
