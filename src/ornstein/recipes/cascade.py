"""A cascade: a system that draws small pictures, and one that is told them and draws large ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.rng import Rng
from ornstein.recipes.system import System

_BASE, _NOISE = 2**32, 2**33
"""Added to a sample's seed for its small picture and for the noise on it: draws of their own."""


@dataclass
class Cascade(System):
    """The last stage, which draws the small picture that it is told by ``base`` unless one is given.

    ``corrupt(z_0, rng)`` makes of small pictures ``[B, C, h, w]`` in [-1, 1] what the last stage was trained to be told.
    Sample i depends on its seed only, as everywhere.
    """

    base: System | None = None
    corrupt: Callable[[Tensor, Rng], Tensor] | None = None

    def conditions(self, seeds: Sequence[int], given: Mapping[str, Any]) -> dict[str, Tensor]:
        cond = super().conditions(seeds, given)
        assert self.told is not None
        if given.get(self.told.name) is not None or not seeds:
            return cond
        if self.base is None or self.corrupt is None:
            raise UsageError(f"'{self.recipe}' has no stage that draws small pictures; give {self.told.name}")
        small = []
        for part, at in _runs(seeds):
            label: dict[str, Any] = {"label": cond["label"][at].tolist()} if "label" in cond else {}
            small.append(self.base.sample(len(part), seed=_BASE + part[0], **label).tensor)
        return {**cond, self.told.name: self.corrupt(torch.cat(small), Rng([_NOISE + s for s in seeds]))}


def _runs(seeds: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Stretches of consecutive seeds, each with its places."""
    out: list[tuple[list[int], list[int]]] = []
    for i, seed in enumerate(seeds):
        if out and out[-1][0][-1] + 1 == seed:
            out[-1][0].append(seed)
            out[-1][1].append(i)
        else:
            out.append(([seed], [i]))
    return out
