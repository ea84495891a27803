"""Pictures on disk and in memory: marked, written with their settings, signed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ornstein.core.errors import CapabilityError, DataError, OrnsteinError
from ornstein.data.decode import Unreadable, decode
from ornstein.provenance.manifest import Signer
from ornstein.provenance.mark import Mark
from ornstein.provenance.settings import open_picture, read_settings
from ornstein.recipes.samples import to_image, write_picture

MARKED = "mark"
"""Under which name the settings say how a picture was marked."""


def payload_of(about: Mapping[str, Any]) -> int:
    """32 bits of the SHA-256 of a picture's settings: they tie the mark to the settings in the file and to the audit log."""
    rest = {k: v for k, v in about.items() if k != MARKED}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True, default=str).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def mark_picture(image: Image.Image, about: Mapping[str, Any], mark: Mark | None) -> tuple[Image.Image, dict[str, Any]]:
    """A picture with its mark, and its settings with what the mark says. Where it is too small to hold one, they say that."""
    if mark is None:
        return image, dict(about)
    if not mark.fits(image.height, image.width):
        return image, {**about, MARKED: {"method": None, "reason": f"smaller than {mark.smallest} pixels"}}
    payload = payload_of(about)
    return to_image(mark.mark(as_bytes(image), payload)), {**about, MARKED: {"method": mark.name, "payload": payload}}


def seal(path: Path, mark: Mark | None, signer: Signer | None) -> None:
    """Mark a picture file that carries our settings, and sign it; the file is replaced in one step.

    Raises:
        DataError: the file carries none of our settings.
    """
    if mark is None and signer is None:
        return
    found = read_settings(path)
    if found is None or found.source != "ornstein":
        raise DataError(f"{path} carries no settings of ours; only pictures made here are marked and signed")
    with open_picture(path) as file:
        file.load()
        format, image = str(file.format), file.copy()
    image, about = mark_picture(image, found.values, mark)
    aside = path.with_name(f".{path.stem}.new{path.suffix}")
    try:
        write_picture(image, aside, about)
        if signer is not None:
            aside.write_bytes(signer.sign(aside.read_bytes(), format, about))
        os.replace(aside, path)
    except OSError as e:
        raise OrnsteinError(f"could not write {path}: {e}. Choose another output folder") from e
    finally:
        aside.unlink(missing_ok=True)


def as_bytes(image: Image.Image) -> Tensor:
    """uint8 ``[C, H, W]`` of a picture in mode L, RGB or RGBA."""
    if image.mode not in ("L", "RGB", "RGBA"):
        raise CapabilityError(f"a picture in mode {image.mode} is not marked; convert it to L, RGB or RGBA")
    x = torch.from_numpy(np.array(image))
    return x[None] if x.ndim == 2 else x.permute(2, 0, 1).contiguous()


def read_picture(path: Path) -> Tensor:
    """uint8 ``[C, H, W]``, C = 1 or 3, of any file that data are read from.

    Raises:
        DataError: the file is not there, or damaged.
    """
    with open_picture(path) as file:
        largest = max(file.size)
    try:
        image = decode(path, largest)
    except Unreadable as e:
        raise DataError(f"{path}: {e}") from e
    return as_bytes(image.convert("L") if image.mode == "F" else image)
