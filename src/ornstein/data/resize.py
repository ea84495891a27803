"""Bring pictures to a square of one size."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from PIL import Image

from ornstein.core.errors import UsageError
from ornstein.data.dataset import Images

Crop = Literal["center", "squash"]


def check_size(size: int) -> None:
    """Refuse a size that cannot be meant."""
    if size < 1:
        raise UsageError(f"size must be at least 1 pixel, got {size}")


def check_crop(crop: str) -> None:
    """Refuse an unknown way to make a picture square."""
    if crop not in get_args(Crop):
        raise UsageError(f"unknown crop '{crop}'; known: {', '.join(get_args(Crop))}")


def square(picture: Image.Image, size: int, crop: Crop = "center") -> Image.Image:
    """The picture as ``size`` x ``size``: its central square (``center``) or the whole, deformed (``squash``).

    Smaller by Lanczos over all pixels, which is antialiased; larger by bicubic interpolation, which rings less. The
    crop is exact in source pixels, whatever the proportions.
    """
    if crop == "center":  # cropped first: resize(box=...) would let pixels from outside the box in at its edges
        side = min(picture.size)
        left, top = ((length - side) // 2 for length in picture.size)
        picture = picture.crop((left, top, left + side, top + side))
    if picture.size == (size, size):
        return picture
    smaller = min(picture.size) > size
    return picture.resize((size, size), Image.Resampling.LANCZOS if smaller else Image.Resampling.BICUBIC)


def resize(images: Images, size: int) -> Images:
    """All images as ``size`` x ``size``; the same object if they are already."""
    check_size(size)
    n, c, h, w = images.x.shape
    if (h, w) == (size, size):
        return images
    out = np.empty((n, c, size, size), dtype=np.uint8)
    for row, image in zip(out, images.x, strict=True):
        for channel, plane in zip(row, image, strict=True):
            channel[:] = np.asarray(square(Image.fromarray(plane), size))
    return _with(images, out)


def pad(images: Images, size: int) -> Images:
    """All images in the middle of ``size`` x ``size`` black pixels."""
    n, c, h, w = images.x.shape
    out = np.zeros((n, c, size, size), dtype=np.uint8)
    top, left = (size - h) // 2, (size - w) // 2
    out[:, :, top : top + h, left : left + w] = images.x
    return _with(images, out)


def _with(images: Images, x: np.ndarray) -> Images:
    return Images(x, images.labels, images.classes, images.name, images.source, images.licence)
