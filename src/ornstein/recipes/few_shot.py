"""A system that is told a few examples of what it shall draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ornstein.core.cond import Cond
from ornstein.core.errors import DataError, unknown
from ornstein.core.rng import Rng
from ornstein.data.dataset import Images
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.networks.sets import Exemplified
from ornstein.recipes.system import System
from ornstein.samplers.base import Sampler

NAME = "set"
"""Of the condition: the examples."""


@dataclass
class FewShot(System):
    """Its condition ``set``: examples ``[K, C, H, W]`` for all samples, or ``[n, K, C, H, W]``; bytes or floats in [-1, 1].

    :class:`ornstein.data.Images` are taken as one set, of one class. Without examples it draws from all that it has learned.
    """

    @property
    def conditional(self) -> bool:
        return True

    def conditions(self, seeds: Sequence[int], given: Mapping[str, Any]) -> dict[str, Tensor]:
        for name in given:
            if name != NAME:
                raise unknown("condition", name, {NAME})
        value = given.get(NAME)
        if value is None:
            return {NAME: torch.full((len(seeds), 1, *self.shape), torch.nan)}
        return {NAME: self._sets(_one_class(value) if isinstance(value, Images) else value, len(seeds))}

    def first(self, move: Sampler, rng: Rng, times: Tensor, cond: Cond) -> tuple[Tensor, Cond]:
        """The examples are encoded once."""
        assert isinstance(self.denoiser, Preconditioned) and isinstance(self.denoiser.network, Exemplified)
        return self.begin(rng, times), self.denoiser.network.encoded(cond)

    def _sets(self, x: Tensor, n: int) -> Tensor:
        """``[n, K, C, H, W]`` floats."""
        many = x[None] if x.ndim == 4 else x
        if many.ndim != 5 or tuple(many.shape[2:]) != self.shape or len(many) not in (1, n):
            raise DataError(
                f"a set is [K, {', '.join(map(str, self.shape))}] for all, or one for each of {n} samples; got "
                f"{tuple(x.shape)}: resize the examples to the model's pictures"
            )
        if many.shape[1] == 0:
            raise DataError("the set is empty: give at least one example, or leave the set out")
        if many.dtype == torch.uint8:
            many = many.float() / 127.5 - 1
        elif not many.is_floating_point():
            raise DataError(f"examples are bytes or floats in [-1, 1], got {many.dtype}")
        largest = float(many.abs().max())
        if not largest <= 1 + 1e-6:
            raise DataError(f"examples lie in [-1, 1]; these reach {largest:.3g}")
        return many.expand(n, *many.shape[1:])


def _one_class(images: Images) -> Tensor:
    """Its pictures; refused where their labels differ."""
    if images.labels is not None:
        found = sorted({int(v) for v in images.labels})
        if len(found) > 1:
            names = ", ".join(images.classes[v] if v >= 0 else "(none)" for v in found[:5])
            raise DataError(f"the examples are of {len(found)} classes ({names}); a set is of one class")
    return torch.from_numpy(images.x.copy())
