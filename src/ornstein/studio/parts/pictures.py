"""Pictures of the page as data of a model, and back."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ornstein.core.errors import CapabilityError, DataError
from ornstein.data.decode import Unreadable, decode, is_grey
from ornstein.data.resize import fit
from ornstein.recipes.system import System

COVERED = 0.25
"""Share of a pixel that the brush must cover for it to count as masked."""


def image_shape(system: System) -> tuple[int, int, int]:
    """Channels, height and width of a system's pictures.

    Raises:
        CapabilityError: it makes no pictures.
    """
    if len(system.data_shape) != 3 or system.data_shape[0] not in (1, 3):
        raise CapabilityError(f"'{system.recipe}' makes data of shape {system.data_shape}, and this is for pictures")
    channels, height, width = system.data_shape
    return channels, height, width


def tensor_of(image: Image.Image, channels: int, height: int, width: int) -> Tensor:
    """``[C, H, W]`` in [-1, 1], decoded as data are: upright, on white, cropped in the middle and resized to fit.

    Raises:
        DataError: a picture that is not read.
    """
    try:
        upright = decode(image, max(height, width))
    except Unreadable as e:
        raise DataError(f"the picture cannot be used: {e}") from e
    if upright.size != (width, height):
        upright = fit(upright, height, width)
    flat = upright.convert("L") if channels == 1 and not is_grey(upright) else upright
    array = torch.from_numpy(np.array(flat)).float().clamp(0, 255) / 127.5 - 1
    return array.expand(channels, -1, -1) if array.ndim == 2 else array.permute(2, 0, 1)


def mask_of(drawn: Image.Image, height: int, width: int) -> Tensor:
    """``[1, H, W]``: 1 where the brush passed (its alpha, else its light), brought to the size as the picture is."""
    cover = drawn.getchannel("A") if "A" in drawn.getbands() else drawn.convert("L")
    if cover.size != (width, height):
        cover = fit(cover, height, width)
    return (torch.from_numpy(np.array(cover)).float() / 255 > COVERED).float()[None]
