"""Volumes to be measured: which cells are occupied, or what class they have."""

from __future__ import annotations

from typing import Any, Self, final

from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.digests import digest_of


@final
class Grids:
    """Volumes ``[N, X, Y, Z]`` of bool (occupied) or of whole numbers (0 is empty, others are classes).

    Raises:
        DataError: none, another type or shape, negative classes.
    """

    def __init__(self, x: Tensor):
        if x.ndim != 4 or 0 in x.shape:
            raise DataError(f"volumes are [N, X, Y, Z] and not empty, got {tuple(x.shape)}")
        if x.is_floating_point() or x.is_complex():
            raise DataError(
                f"volumes hold bool or whole numbers, got {x.dtype}; compare with a threshold first, x > 0.5"
            )
        if bool((x < 0).any()):
            raise DataError("classes of volumes are 0 (empty) and up, and some are negative")
        self.x = x.long()

    @property
    def content_hash(self) -> str:
        """Equal for equal volumes."""
        return digest_of([self.x])

    @property
    def about(self) -> dict[str, Any]:
        """Their size."""
        return {"size": "x".join(map(str, self.x.shape[1:]))}

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Tensor) -> Self:
        """Some of them."""
        return type(self)(self.x[index])


def require_one_grid(samples: Grids, other: Grids, name: str) -> None:
    """Refuse volumes of two sizes."""
    if samples.about != other.about:
        raise DataError(
            f"the samples are {samples.about['size']} and the {name} is {other.about['size']}; use one grid"
        )
