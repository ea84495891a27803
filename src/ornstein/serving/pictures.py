"""Pictures on their way out and in: encoded with their provenance, decoded within limits."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ornstein.codecs.base import to_bytes
from ornstein.core.errors import DataError
from ornstein.data.decode import Unreadable, decode, is_grey
from ornstein.data.resize import fit
from ornstein.recipes.samples import Samples, exif, png_info, to_image
from ornstein.serving.hooks import Hook, Served, after
from ornstein.serving.request import Request
from ornstein.serving.store import Result

Format = Literal["png", "jpeg", "webp"]


FORMATS = ("PNG", "JPEG", "WEBP")
"""Of uploaded pictures. Others are not even tried: each decoder is one more to trust."""


def is_picture(x: Tensor) -> bool:
    """Whether rows of this tensor are pictures."""
    return x.ndim == 4 and x.shape[1] in (1, 3, 4)


def encode(served: Served, format: Format = "png") -> bytes:
    """The file, with all settings in it: PNG as text, JPEG and WebP as EXIF."""
    out = io.BytesIO()
    if format == "png":
        served.image.save(out, "PNG", pnginfo=png_info(served.about))
    else:
        served.image.convert("RGB").save(out, format.upper(), quality=95, exif=exif(served.about))
    return out.getvalue() if served.finish is None else served.finish(out.getvalue(), format)


def results(
    samples: Samples, request: Request, client: str, hooks: Sequence[Hook], format: Format = "png"
) -> list[Result]:
    """The files of a job: pictures, seen by the hooks; of other data one NumPy array each.

    Raises:
        Refused: a hook does not let one out.
    """
    if not is_picture(samples.tensor):
        return [Result("application/x-npy", samples.about(i), _array(x)) for i, x in enumerate(samples.tensor)]
    out = []
    for i, image in enumerate(samples.images):
        served = after(hooks, request, Served(image, samples.about(i)), client)
        out.append(Result(f"image/{format}", served.about, encode(served, format)))
    return out


def previews(x: Tensor, request: Request, client: str, hooks: Sequence[Hook], format: Format = "png") -> list[bytes]:
    """Unfinished pictures, seen by the hooks as well; none of other data."""
    if not is_picture(x):
        return []
    images = [to_image(row) for row in to_bytes(x)]
    about = {"software": "ornstein", "preview": True, "recipe": request.model}
    return [encode(after(hooks, request, Served(image, about), client), format) for image in images]


def _array(x: Tensor) -> bytes:
    out = io.BytesIO()
    np.save(out, x.numpy(), allow_pickle=False)
    return out.getvalue()


def check(content: bytes, pixels: int) -> None:
    """Refuse an upload by its head alone: nothing of the picture is decoded.

    Raises:
        DataError: it is no PNG, JPEG or WebP, or larger than ``pixels``.
    """
    if not content:
        raise DataError("the picture is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is below
            with Image.open(io.BytesIO(content), formats=FORMATS) as file:
                width, height = file.size
    except Image.DecompressionBombError as e:
        raise DataError(f"the picture is too large: {e}") from e
    except Exception as e:  # what decoders raise on a damaged head is of any type
        raise DataError(f"this is no picture in a format that is taken ({', '.join(FORMATS)}), or it is damaged") from e
    if height * width > pixels:
        raise DataError(f"the picture has {width} x {height} pixels; this server takes at most {pixels}")


def read(content: bytes, shape: tuple[int, ...], pixels: int) -> Tensor:
    """``[C, H, W]`` in [-1, 1], cropped in the middle and resized to the model's ``shape``.

    Raises:
        DataError: it is no picture, damaged, or larger than ``pixels``.
    """
    check(content, pixels)
    channels, height, width = shape
    try:
        upright = decode(content, max(height, width))
    except Unreadable as e:
        raise DataError(f"the picture: {e}") from e
    if upright.size != (width, height):
        upright = fit(upright, height, width)
    flat = upright.convert("L") if channels == 1 and not is_grey(upright) else upright
    array = torch.from_numpy(np.array(flat)).float().clamp(0, 255) / 127.5 - 1
    return array.expand(channels, -1, -1) if array.ndim == 2 else array.permute(2, 0, 1)


def read_mask(content: bytes, shape: tuple[int, ...], pixels: int) -> Tensor:
    """``[1, H, W]``: 1 where the picture stays, 0 where the mask is transparent (or, without transparency, white).

    Raises:
        DataError: it is no picture, larger than ``pixels``, or leaves nothing to change.
    """
    check(content, pixels)
    _, height, width = shape
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as file:
            clear = file.has_transparency_data
            grey = file.convert("RGBA").getchannel("A") if clear else file.convert("L")
            array = np.asarray(grey.resize((width, height), Image.Resampling.NEAREST))
    except Exception as e:  # what decoders raise on a damaged file is of any type
        raise DataError(f"the mask is damaged: {e}") from e
    known = torch.from_numpy(array >= 128 if clear else array < 128).float()[None]
    if bool(known.all()):
        raise DataError("the mask leaves nothing to change: make it transparent (or white) where to fill in")
    return known
