"""The metrics of pictures with captions by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation.captions.alignment import alignment, retrieval
from ornstein.evaluation.captions.collection import Captioned, CaptionSettings
from ornstein.evaluation.captions.towers import Towers
from ornstein.evaluation.feature_sets import imported
from ornstein.evaluation.modality import Better, Given, Measure, Modality, table_of


def caption_alignment(towers: Towers | None = None) -> Measure[Captioned]:
    """Mean cosine of images and their captions, and the share of images whose own caption is the nearest of all.

    Without towers here, the settings name a function that gives them.
    """

    def compute(x: Given[Captioned]) -> dict[str, float]:
        pair = towers or x.once("towers", lambda: _towers(x.settings))
        image = x.column("image vectors", lambda c: pair.image(c.images))
        text = x.column("text vectors", lambda c: pair.text(c.captions))
        return {"caption_alignment": float(alignment(image, text).mean()), "caption_retrieval": retrieval(image, text)}

    about = (
        "mean cosine of images and captions in the space of two towers; share of images nearest to their own caption"
    )
    gives: dict[str, Better] = {"caption_alignment": "higher", "caption_retrieval": "higher"}
    if towers is None:
        return Measure("caption_alignment", about, gives, compute, frozenset(), ("towers",), asks=("towers",))
    protocol = {"towers": towers.name} | ({"towers_hash": towers.hash[:12]} if towers.hash else {})
    return Measure("caption_alignment", about, gives, compute, frozenset(), protocol=protocol)


def _towers(settings: CaptionSettings) -> Towers:
    make: Callable[[], Any] = imported(settings.towers)
    found = make()
    if not isinstance(found, Towers):
        raise UsageError(f"'{settings.towers}' gives {type(found).__name__}, not Towers(image, text, name)")
    return found


def _same_size(samples: Captioned, other: Captioned, name: str) -> None:
    """Refuse images of two sizes."""
    if samples.about != other.about:
        raise DataError(f"the samples are {samples.about['size']} and the {name} is {other.about['size']}")


CAPTIONS: Modality[Captioned] = Modality(
    "captions",
    "pictures with captions",
    Captioned,
    table_of((caption_alignment(),)),
    ("caption_alignment",),
    CaptionSettings,
    _same_size,
)
