"""Tensors of which each process holds some rows, and modules whose weights are kept row by row."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod

from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether each process holds a part of this tensor only (a ``DTensor``)."""
    module = sys.modules.get("torch.distributed.tensor")  # slow to import; before that nothing can be of its class
    return module is not None and isinstance(tensor, module.DTensor)


def local(tensor: Tensor) -> Tensor:
    """This process's rows of a sharded tensor, sharing its memory; any other tensor is itself."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


class RowWise(ABC):
    """A module whose ``weight`` training puts back onto a set after each update, every row by itself.

    The module does so in its forward pass. Where the weight's rows lie in several processes, a forward pass sees a
    passing copy of them; there the trainer sets ``kept`` and projects the rows that each process holds.
    """

    weight: Tensor
    kept: bool = False

    @abstractmethod
    def project(self, rows: Tensor) -> Tensor:
        """The rows (any number of them, ``[n, ...]``), put back onto the set."""
