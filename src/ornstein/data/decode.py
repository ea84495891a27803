"""Read one picture file of any of the usual formats and modes."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = {
    **dict.fromkeys((".png", ".apng"), "PNG"),
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    ".webp": "WEBP",
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    ".gif": "GIF",
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PPM"),
}
"""File endings that are taken for pictures, and their formats."""

Encoded = Path | bytes | Image.Image
"""A picture that is not decoded yet: a file, the contents of one, or what another library has opened."""

MAX_PIXELS = 2**27
"""Pictures that declare more pixels (11,585 x 11,585) are refused before any is decoded."""

FORMATS = tuple(sorted(set(SUFFIXES.values())))  # no others: some of Pillow's formats call outside programs
_ORIENTATION = 0x0112
_ALPHA = ("LA", "La", "RGBA", "RGBa", "PA")
_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")


class Unreadable(Exception):
    """Why a file cannot be used; the reader of the folder says which file."""


def decode(picture: Encoded, size: int) -> Image.Image:
    """The picture upright, in mode ``L``, ``F`` (grey, 0..255) or ``RGB``; the first frame where there are several.

    The EXIF orientation is applied. Transparent parts become white. 16-bit grey is divided by 257; floats must lie in
    [0, 1] or [0, 255]. Large JPEG files are decoded at a reduced scale that is at least twice ``size``. Colour
    profiles are not applied.
    """
    try:
        with _open(picture) as file:
            width, height = file.size
            if width * height > MAX_PIXELS:
                raise Unreadable(f"it declares {width} x {height} pixels, more than {MAX_PIXELS:,}")
            file.draft(None, (2 * size, 2 * size))
            file.load()
            upright = ImageOps.exif_transpose(file)
    except Unreadable:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit comes first for very large ones
        raise Unreadable(f"it declares more than {MAX_PIXELS:,} pixels ({error})") from None
    except UnidentifiedImageError:
        raise Unreadable(f"it is not a picture in a format that is read ({', '.join(FORMATS)})") from None
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:  # of the file system, not of the decoder
            raise Unreadable(f"it cannot be opened: {error.strerror}") from None
        # What a decoder raises on a damaged file is of any type: struct, zlib, index, value errors and more.
        raise Unreadable(f"it is damaged: {str(error) or type(error).__name__}") from None
    return _plain(upright)


def size_of(picture: Encoded) -> tuple[int, int]:
    """``(height, width)`` of the upright picture; only the head of the file is read."""
    try:
        with _open(picture) as file:
            turned = file.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            width, height = file.size
    except Unreadable:
        raise
    except Exception as error:  # see decode
        raise Unreadable(f"it is damaged: {str(error) or type(error).__name__}") from None
    return (width, height) if turned else (height, width)


def _open(picture: Encoded) -> Image.Image:
    if isinstance(picture, Image.Image):
        return picture.copy()  # the caller's stays open
    if (len(picture) if isinstance(picture, bytes) else picture.stat().st_size) == 0:
        raise Unreadable("the file is empty (0 bytes)")
    return Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture, formats=FORMATS)


def is_grey(picture: Image.Image) -> bool:
    """Whether a decoded picture has one channel."""
    return picture.mode in ("L", "F")


def _plain(picture: Image.Image) -> Image.Image:
    """Any of Pillow's modes as ``L``, ``F`` or ``RGB``."""
    mode = picture.mode
    if mode == "F" or mode.startswith("I"):
        return _deep_grey(np.asarray(picture, dtype=np.float32), mode)
    if mode in _ALPHA or picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("L" if mode in _GREY else "RGB")
    if mode in ("L", "1"):
        return picture.convert("L")
    try:
        return picture.convert("RGB")
    except ValueError:
        raise Unreadable(f"its colour mode {mode} cannot be converted to RGB") from None


def _deep_grey(values: np.ndarray, mode: str) -> Image.Image:
    """Grey of more than 8 bits as floats 0..255, so that nothing is rounded before it is resized."""
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise Unreadable(f"{bad} of its {values.size} values are NaN or infinite")
    low, high = float(values.min()), float(values.max())
    limits = (1.0, 255.0) if mode == "F" else (65535.0,)
    limit = next((limit for limit in limits if high <= limit), None)
    if low < 0 or limit is None:
        raise Unreadable(
            f"its values run from {low:g} to {high:g}; expected 0 to {' or 0 to '.join(f'{m:g}' for m in limits)}"
        )
    return Image.fromarray(values * np.float32(255 / limit))


def others(paths: Sequence[PurePath]) -> str:
    """``"3 .heic, 1 .txt"``: what lies in a folder beside pictures."""
    count = Counter(path.suffix.lower() or "without an ending" for path in paths)
    return ", ".join(f"{n} {suffix}" for suffix, n in count.most_common(5))
