"""A system of small pictures that draws, restores and edits larger ones, in windows that agree."""

from __future__ import annotations

import dataclasses

from ornstein.core.errors import CapabilityError, UsageError
from ornstein.denoisers.windows import Windows
from ornstein.recipes.system import System


def widened(system: System, height: int, width: int, overlap: float = 0.5, together: int = 64) -> System:
    """The same model for pictures of ``height`` x ``width``; its weights are shared.

    ``overlap`` is the least share of a window that its neighbour sees, ``together`` how many go through the network at once.

    Raises:
        UsageError: smaller than the model's pictures, or of a size that the codec's reduction does not divide.
        CapabilityError: a system without a denoiser, or whose state is no picture.
    """
    if system.one_shot:
        raise CapabilityError(f"'{system.recipe}' has no denoiser: it makes pictures of one size only")
    channels, h, w = system.data_shape
    if (height, width) == (h, w):
        return system
    if height < h or width < w:
        raise UsageError(
            f"'{system.recipe}' makes pictures of {w} x {h}; windows cover larger ones, not {width} x {height}"
        )
    if len(system.shape) != 3 or h % system.shape[1] or w % system.shape[2]:
        raise CapabilityError(f"the state of '{system.recipe}', {system.shape}, is no picture that windows could cover")
    down, across = h // system.shape[1], w // system.shape[2]
    if height % down or width % across:
        raise UsageError(
            f"the codec of '{system.recipe}' reduces {across} x {down} pixels to one state; it does not divide {width} x {height}"
        )
    return dataclasses.replace(
        system,
        denoiser=Windows(system.denoiser, (system.shape[1], system.shape[2]), overlap, together),
        shape=(system.shape[0], height // down, width // across),
        data_shape=(channels, height, width),
    )
