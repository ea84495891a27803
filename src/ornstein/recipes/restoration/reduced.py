"""The condition of super-resolution: the reduced picture, enlarged again by interpolation."""

from __future__ import annotations

from torch import Tensor

from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Random
from ornstein.measurements import bicubic, enlarged
from ornstein.objectives.told import Told

NAME = "low_res"
"""Of the condition."""


def reduced(shape: tuple[int, int, int], scale: int) -> Told:
    """Bicubic reduction by ``scale``, and bicubic enlargement to the full size.

    Raises:
        UsageError: a scale below 2, or one that does not divide the size.
    """
    if scale < 2:
        raise UsageError(f"scale must be at least 2, got {scale}")
    operator, size = bicubic(shape, scale), (shape[1], shape[2])

    def of_data(x: Tensor, rng: Random) -> Tensor:
        return enlarged(operator(x), size)

    def of_measurement(given: Measurement) -> Tensor:
        if given.operator.name != operator.name or given.noise > 0.05:
            raise CapabilityError(
                f"this model was trained on a {operator.name} without noise, not on a {given.operator.name} with noise "
                f"{given.noise:g}. Methods that take any linear operator: ddrm, pigdm, diffpir"
            )
        if tuple(given.y.shape[1:]) != (shape[0], shape[1] // scale, shape[2] // scale):
            raise UsageError(
                f"a reduced picture is {(shape[0], shape[1] // scale, shape[2] // scale)}, got {tuple(given.y.shape[1:])}"
            )
        return enlarged(given.y.float(), size)

    return Told(NAME, shape, of_data, of_measurement)
