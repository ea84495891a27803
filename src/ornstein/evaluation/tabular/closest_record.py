"""Distance to the closest record: are samples copies of training rows?

The distance of two rows is Gower's: the mean over columns of |a - b| / (range in the training data) for numbers and of [a != b]
for categories. Beside the samples' distances stand those of held-out rows, for what is near depends on the data; and the share
of samples that are nearer to a training row than to a held-out one, which is 1/2 for a model that copies nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ornstein.evaluation.pairwise import rows_per_block
from ornstein.evaluation.tabular.collection import Table


@dataclass(frozen=True)
class Encoder:
    """Rows as vectors whose L1 distances, divided by the number of columns, are Gower's. ``others``: all that is compared."""

    train: Table
    others: tuple[Table, ...] = ()

    def __call__(self, table: Table) -> Tensor:
        """``[N, D]`` float64."""
        parts = []
        for name, base in self.train.columns.items():
            values = table.columns[name]
            if base.dtype.kind == "f":
                parts.append(torch.from_numpy((values - base.min()) / (np.ptp(base) or 1.0))[:, None])
                continue
            known = np.unique(np.concatenate([base, *(t.columns[name] for t in self.others)]))
            parts.append(torch.from_numpy(values[:, None] == known[None, :]).double() / 2)
        return torch.cat(parts, 1)


def closest(a: Tensor, b: Tensor, columns: int) -> Tensor:
    """The least Gower distance of each row of ``a [N, D]`` to one of ``b [M, D]``, ``[N]``, in blocks."""
    blocks = a.split(rows_per_block(len(b), 8))
    return torch.cat([torch.cdist(block, b, p=1).amin(1) for block in blocks]) / columns


def distance_to_closest(samples: Table, train: Table) -> Tensor:
    """Of each sample to the nearest training row, ``[N]``, in 0 .. 1 within the training data's ranges."""
    encode = Encoder(train, (samples,))
    return closest(encode(samples), encode(train), len(train.columns))
