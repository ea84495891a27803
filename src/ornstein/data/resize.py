"""Bring pictures to a square of one size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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
    """The picture as ``size`` x ``size``: its central square (``center``) or the whole, deformed (``squash``)."""
    return fit(picture, size, size, crop)


def fit(picture: Image.Image, height: int, width: int, crop: Crop = "center") -> Image.Image:
    """The picture as ``height`` x ``width``: its largest central part of that shape, or the whole, deformed.

    Smaller by Lanczos over all pixels, which is antialiased; larger by bicubic interpolation, which rings less. The
    crop is exact in source pixels, whatever the proportions.
    """
    if crop == "center":  # cropped first: resize(box=...) would let pixels from outside the box in at its edges
        picture = picture.crop(central(picture.size, height, width))
    if picture.size == (width, height):
        return picture
    smaller = picture.width > width or picture.height > height
    return picture.resize((width, height), Image.Resampling.LANCZOS if smaller else Image.Resampling.BICUBIC)


def central(size: tuple[int, int], height: int, width: int) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) of the largest central part of a picture (w, h) with that shape."""
    w, h = size
    if w * height > h * width:
        w = max(round(h * width / height), 1)
    else:
        h = max(round(w * height / width), 1)
    left, top = (size[0] - w) // 2, (size[1] - h) // 2
    return left, top, left + w, top + h


def resize(images: Images, size: int) -> Images:
    """All images as ``size`` x ``size``; the same object if they are already. So are conditions of the images' size: masks and
    maps of whole numbers by the nearest pixel."""
    check_size(size)
    n, c, h, w = images.x.shape
    if (h, w) == (size, size):
        return images
    out = np.empty((n, c, size, size), dtype=np.uint8)
    for row, image in zip(out, images.x, strict=True):
        for channel, plane in zip(row, image, strict=True):
            channel[:] = np.asarray(square(Image.fromarray(plane), size))
    return _with_maps(images.with_x(out), images, lambda maps: _nearest(maps, size))


def _nearest(maps: np.ndarray, size: int) -> np.ndarray:
    """The central square of ``[N, C, H, W]`` at the nearest pixels."""
    h, w = maps.shape[2:]
    side = min(h, w)
    at = ((np.arange(size) + 0.5) * side / size).astype(np.int64)
    return maps[:, :, ((h - side) // 2 + at)[:, None], ((w - side) // 2 + at)[None]]


def _with_maps(images: Images, before: Images, change: Callable[[np.ndarray], np.ndarray]) -> Images:
    """Conditions ``[N, C, H, W]`` of the former height and width, changed as the images were."""
    size = before.x.shape[2:]
    conds = {k: change(v) if v.ndim == 4 and v.shape[2:] == size else v for k, v in before.conds.items()}
    return replace(images, conds=conds)


def pad(images: Images, size: int) -> Images:
    """All images in the middle of ``size`` x ``size`` black pixels, and so conditions of the images' size."""
    h, w = images.x.shape[2:]
    top, left = (size - h) // 2, (size - w) // 2

    def framed(x: np.ndarray) -> np.ndarray:
        out = np.zeros((*x.shape[:2], size, size), dtype=x.dtype)
        out[:, :, top : top + h, left : left + w] = x
        return out

    return _with_maps(images.with_x(framed(images.x)), images, framed)
