"""The modalities by name, and the direction of every metric of the package."""

from __future__ import annotations

from typing import Any

from ornstein.core.errors import DataError
from ornstein.evaluation.audio.table import AUDIO
from ornstein.evaluation.detection.table import DETECTION
from ornstein.evaluation.modality import C, Modality
from ornstein.evaluation.points.table import POINTS
from ornstein.evaluation.registry import PREFERS as OF_IMAGES
from ornstein.evaluation.series.table import SERIES
from ornstein.evaluation.tabular.table import TABLES
from ornstein.evaluation.text.table import TEXT
from ornstein.evaluation.video.table import VIDEO
from ornstein.evaluation.voxels.table import VOXELS

MODALITIES: dict[str, Modality[Any]] = {
    m.name: m for m in (SERIES, TABLES, DETECTION, TEXT, AUDIO, VIDEO, POINTS, VOXELS)
}

PREFERS = OF_IMAGES | {
    value: better for m in MODALITIES.values() for row in m.metrics.values() for value, better in row.gives.items()
}
"""Which way each value is better, of images too."""


def modality_of(samples: C) -> Modality[C]:
    """The modality that this kind of samples belongs to."""
    for modality in MODALITIES.values():
        if isinstance(samples, modality.collection):
            return modality
    kinds = ", ".join(m.collection.__name__ for m in MODALITIES.values())
    raise DataError(f"samples are given as one of {kinds} (images to `evaluate`), got {type(samples).__name__}")


def modality_with(metric: str) -> str | None:
    """The modality that a metric belongs to; None for one of images, or of none."""
    return next((name for name, m in MODALITIES.items() if metric in m.metrics), None)
