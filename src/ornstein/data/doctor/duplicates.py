"""Images that are there more than once: a model learns those by heart first."""

from __future__ import annotations

import hashlib

import numpy as np

from ornstein.core.finding import Finding, ok, warning
from ornstein.data.dataset import Images


def first_of_each(images: Images) -> np.ndarray:
    """``[N]``: the index of the first image with the same pixels, for every image."""
    seen: dict[bytes, int] = {}
    out = np.empty(len(images), dtype=np.int64)
    for i in range(len(images)):
        out[i] = seen.setdefault(hashlib.blake2b(np.ascontiguousarray(images.x[i]).data, digest_size=16).digest(), i)
    return out


def check(images: Images) -> Finding:
    """Count the images that repeat an earlier one."""
    first = first_of_each(images)
    again = np.flatnonzero(first != np.arange(len(images)))
    if not len(again):
        return ok("duplicates", "none")
    pairs = ", ".join(f"{i} = {first[i]}" for i in again[:3]) + (", ..." if len(again) > 3 else "")
    most = int(np.bincount(first).max())
    return warning(
        "duplicates",
        f"{len(again)} of {len(images)} images repeat another ({pairs}), one of them {most} times in all",
        "keep one of each (ornstein.data.Images.take): a model memorises what it sees more often, and held-out "
        "images that are also in the training set make scores too good",
    )
