"""Pictures as conditions, made from the data themselves: what a conditional model of restoration is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Scale
from ornstein.core.batch import Batch
from ornstein.core.loss import Loss, Objective
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Random


@dataclass(frozen=True)
class Told:
    """A picture ``cond[name]`` ``[B, *shape]``, in training made of the data, in use of a measurement.

    ``of_data(x, rng)`` takes data ``[B, C, H, W]`` in [-1, 1]; ``of_measurement`` refuses operators that training never met.
    """

    name: str
    shape: tuple[int, ...]
    of_data: Callable[[Tensor, Random], Tensor]
    of_measurement: Callable[[Measurement], Tensor]
    bound: float = 1.0
    """largest size of its values"""


@final
class Telling:
    """An objective whose batches get the condition that is made of them. Bytes and floats in [-1, 1] are taken."""

    def __init__(self, objective: Objective, told: Told):
        self.objective, self.told = objective, told
        self._scale = Scale()

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        with torch.no_grad():
            given = self.told.of_data(self._scale.encode(batch.x, rng), rng)
        return self.objective(Batch(batch.x, {**batch.cond, self.told.name: given}), rng)
