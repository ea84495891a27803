"""Images that show nothing."""

from __future__ import annotations

import numpy as np

from ornstein.core.finding import Finding, error, ok, warning
from ornstein.data.dataset import Images

FLAT = 2.0
"""Standard deviation, of 255, below which an image is nearly one colour."""
PART = 1024


def flat(images: Images) -> np.ndarray:
    """Indices of the images that are nearly one colour."""
    found = []
    for start in range(0, len(images), PART):  # in parts, so that a memory map need not fit in memory
        part = images.x[start : start + PART].astype(np.float32)
        found.append(start + np.flatnonzero(part.std(axis=(2, 3)).max(axis=1) < FLAT))
    return np.concatenate(found)


def check(images: Images) -> Finding:
    """Count them."""
    found = flat(images)
    if not len(found):
        return ok("near-empty images", "none")
    some = ", ".join(map(str, found[:5].tolist())) + (", ..." if len(found) > 5 else "")
    what = f"{len(found)} of {len(images)} images are nearly one colour (images {some})"
    if len(found) == len(images):
        return error("near-empty images", what, "look at the pictures and at how they were converted")
    return warning("near-empty images", what, "remove them, unless they are meant: the model will draw them as often")
