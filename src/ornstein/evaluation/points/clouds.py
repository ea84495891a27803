"""Point clouds to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, final

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.digests import digest_of


@final
class Clouds:
    """A set of point clouds ``[P, D]`` of one dimension (3, as a rule); they may differ in their number of points.

    Raises:
        DataError: none, an empty cloud, NaN or infinity, other dimensions (each names the cloud).
    """

    def __init__(self, clouds: Sequence[Tensor] | Tensor):
        if len(clouds) == 0:
            raise DataError("there is no point cloud to measure")
        for i, x in enumerate(clouds):
            if x.ndim != 2 or x.shape[1] < 1:
                raise DataError(f"cloud {i} must be points [P, D], got shape {tuple(x.shape)}")
            if len(x) == 0:
                raise DataError(f"cloud {i} is empty: it has no points")
            if not bool(torch.isfinite(x).all()):
                raise DataError(f"cloud {i} holds NaN or infinity")
            if x.shape[1] != clouds[0].shape[1]:
                raise DataError(f"cloud 0 has {clouds[0].shape[1]} dimensions and cloud {i} has {x.shape[1]}")
        self.clouds = tuple(x.double().cpu() for x in clouds)

    @property
    def dims(self) -> int:
        """D."""
        return self.clouds[0].shape[1]

    @property
    def content_hash(self) -> str:
        """Equal for equal points in the same order."""
        return digest_of(self.clouds)

    @property
    def about(self) -> dict[str, Any]:
        """How many points a cloud has, if all have as many."""
        counts = {len(x) for x in self.clouds}
        return {"dims": self.dims, "points": counts.pop() if len(counts) == 1 else f"{min(counts)} to {max(counts)}"}

    def __len__(self) -> int:
        return len(self.clouds)

    def take(self, index: Tensor) -> Self:
        """Some of them."""
        return type(self)([self.clouds[i] for i in index.tolist()])


def require_one_space(samples: Clouds, other: Clouds, name: str) -> None:
    """Refuse clouds of other dimensions."""
    if samples.dims != other.dims:
        raise DataError(f"the samples have {samples.dims} dimensions and the {name} has {other.dims}")
