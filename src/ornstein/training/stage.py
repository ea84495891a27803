"""What is trained on what: a stream of batches, the updates made on each, a number of steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import nn

from ornstein.core.batch import Batch
from ornstein.core.loss import Objective
from ornstein.training.optim import OptimizerSpec


class Data(Protocol):
    """A stream of batches that can say where it is and go on from there."""

    def __iter__(self) -> Iterator[Batch[Any]]: ...
    def state(self) -> dict[str, int]: ...
    def restore(self, state: dict[str, int]) -> None: ...


@dataclass
class Update:
    """One player's step on each batch: its loss reaches only its own parameters.

    Without parameters nothing moves: the objective looks at the batch and keeps what it finds in buffers of its own.
    """

    objective: Objective
    params: list[nn.Parameter]
    optimizer: OptimizerSpec = field(default_factory=OptimizerSpec)
    every: int = 1


@dataclass
class Stage:
    """A data stream, the updates made on each batch, and a number of steps."""

    name: str
    data: Data
    updates: list[Update]
    steps: int
