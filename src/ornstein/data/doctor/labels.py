"""Do the labels fit the classes?"""

from __future__ import annotations

import numpy as np

from ornstein.core.finding import Finding, error, ok, warning
from ornstein.data.dataset import Images

RARE = 0.05
"""A class with less than this part of the mean class is rare."""


def check(images: Images) -> Finding:
    """Classes without images, rare classes, images without a label. Labels beyond the classes do not even open."""
    if images.labels is None:
        return ok("labels", "none, so training is unconditional")
    counts = np.bincount(images.labels[images.labels >= 0], minlength=len(images.classes))
    bare = [c for c, n in zip(images.classes, counts.tolist(), strict=True) if n == 0]
    if len(bare) == len(images.classes):
        return error("labels", "no image has a label", "give labels, or leave out the classes")
    if bare:
        return warning(
            "labels",
            f"{len(bare)} of {len(images.classes)} classes have no image: {_some(bare)}",
            "leave these classes out: what the model draws for them means nothing",
        )
    rare = [c for c, n in zip(images.classes, counts.tolist(), strict=True) if n < RARE * counts.mean()]
    if rare:
        return warning(
            "labels",
            f"{len(rare)} of {len(images.classes)} classes have fewer than {RARE:.0%} of the mean class's images: {_some(rare)}",
            "add images of them, or expect them to be drawn badly",
        )
    missing = int((images.labels < 0).sum())
    note = f", {missing} images without a label" if missing else ""
    return ok("labels", f"{len(images.classes)} classes of {counts.min()} to {counts.max()} images{note}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
