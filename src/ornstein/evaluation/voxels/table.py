"""The metrics of volumes by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.modality import Given, Measure, Modality, Need, table_of
from ornstein.evaluation.reading import arrays_of
from ornstein.evaluation.voxels.grids import Grids, require_one_grid
from ornstein.evaluation.voxels.iou import class_iou, iou


@final
@dataclass(frozen=True)
class VoxelSettings:
    """For all metrics of volumes."""

    seed: int = 0
    """of half-samples"""


def _mean(name: str, of: Callable[[Tensor, Tensor], Tensor], x: Given[Grids]) -> dict[str, float]:
    return {name: float(x.pair_column(name, lambda a, b: of(a.x, b.x)).mean())}


_PAIRS: frozenset[Need] = frozenset({"reference", "pairs"})

VOXELS: Modality[Grids] = Modality(
    "voxels",
    "volumes",
    Grids,
    table_of(
        (
            Measure("iou", "intersection over union of what is occupied, with the paired volume", {"iou": "higher"},
                    partial(_mean, "iou", iou), _PAIRS),
            Measure("class_iou", "the same of each class above 0, mean over those that either volume has",
                    {"class_iou": "higher"}, partial(_mean, "class_iou", class_iou), _PAIRS),
        )
    ),
    ("iou",),
    VoxelSettings,
    require_one_grid,
)  # fmt: skip


def read_grids(path: Path) -> Grids:
    """An NPZ with ``voxels [N, X, Y, Z]``."""
    if path.suffix != ".npz":
        raise DataError(f"volumes are read from .npz with an array 'voxels' [N, X, Y, Z], got {path}")
    x = arrays_of(path, ("voxels", "x")).main
    if x.dtype != bool and not np.issubdtype(x.dtype, np.integer):
        raise DataError(
            f"{path}: volumes hold bool or whole numbers, got {x.dtype}; compare with a threshold first, x > 0.5"
        )
    return Grids(torch.from_numpy(x if x.dtype == bool else x.astype(np.int64)))
