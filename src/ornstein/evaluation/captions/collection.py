"""Pictures with captions to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.digests import digest_of
from ornstein.evaluation.reading import arrays_of


@final
@dataclass(frozen=True)
class CaptionSettings:
    """What metrics of captions depend on; those that a metric uses are part of its protocol."""

    towers: str = ""
    """package.module:function, which gives a pair of towers; ornstein.recipes.aligner:emoji is bundled"""
    seed: int = 0
    """of half-samples"""


@final
class Captioned:
    """Images uint8 ``[N, C, H, W]`` and the captions that they were made for.

    Raises:
        DataError: another type or shape, none, another number of captions, an empty caption (names it).
    """

    def __init__(self, images: Tensor, captions: Sequence[str]):
        if images.dtype != torch.uint8 or images.ndim != 4 or not len(images):
            raise DataError(
                f"images must be uint8 [N, C, H, W] and not empty, got {images.dtype} of shape {tuple(images.shape)}"
            )
        if len(captions) != len(images):
            raise DataError(f"{len(captions)} captions for {len(images)} images")
        for i, text in enumerate(captions):
            if not text.strip():
                raise DataError(f"caption {i} is empty; an image cannot be compared with nothing")
        self.images, self.captions = images, tuple(captions)

    @property
    def content_hash(self) -> str:
        """Equal for equal images and captions."""
        return digest_of([self.images, *self.captions])

    @property
    def about(self) -> dict[str, Any]:
        """The size of the images."""
        return {"size": "x".join(map(str, self.images.shape[1:]))}

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: Tensor) -> Self:
        """Some of them."""
        return type(self)(self.images[index], [self.captions[i] for i in index.tolist()])


def read_captioned(path: Path) -> Captioned:
    """An NPZ with ``images`` uint8 ``[N, C, H, W]`` or ``[N, H, W, C]`` and ``captions``."""
    if path.suffix != ".npz":
        raise DataError(f"pictures with captions are read from .npz with 'images' and 'captions', got {path}")
    found = arrays_of(path, ("images", "x"))
    if "captions" not in found.others:
        raise DataError(f"{path} has no array 'captions'")
    x = found.main
    x = np.moveaxis(x, -1, 1) if x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[-1] in (1, 3) else x
    captions = [str(text) for text in found.per_item("captions", len(x), np.array([]))]
    return Captioned(torch.from_numpy(np.ascontiguousarray(x)), captions)
