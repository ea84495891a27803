"""Two towers: a function of images and one of texts into one space; CLIP's, or linear maps of two networks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from safetensors.torch import load as load_bytes
from torch import Tensor

from ornstein.core.errors import CheckpointError
from ornstein.evaluation.features.extractors import WEIGHTS, Extractor

TextEncoder = Callable[[Sequence[str]], Tensor]


@final
@dataclass(frozen=True)
class Towers:
    """``image``: uint8 ``[N, C, H, W]`` -> ``[N, D]``. ``text``: N texts -> ``[N, D]``. Name and hash go into the record."""

    image: Callable[[Tensor], Tensor]
    text: TextEncoder
    name: str
    hash: str = ""


@final
class Projected:
    """Linear maps of the features of an extractor of images and of an encoder of texts to one space.

    Written by ``benchmarks/train_aligner.py``: FILE.safetensors with ``image.weight [D, F]``, ``image.bias``, ``text.weight``,
    ``text.bias``, and FILE.json with its SHA-256.

    Raises:
        CheckpointError: another hash, or maps that do not fit.
    """

    def __init__(self, file: Path, extractor: Extractor, encode: TextEncoder):
        about = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        content = file.read_bytes()
        self.hash = hashlib.sha256(content).hexdigest()
        if self.hash != about["sha256"]:
            raise CheckpointError(
                f"{file.name} has hash {self.hash[:12]}, expected {about['sha256'][:12]}: install ornstein anew"
            )
        self.extractor, self.encode = extractor, encode
        self.maps = {name: x.float() for name, x in load_bytes(content).items()}
        if self.maps["image.weight"].shape[1] != extractor.dims:
            wanted = self.maps["image.weight"].shape[1]
            raise CheckpointError(f"{file.name} maps {wanted} features and {extractor.name} gives {extractor.dims}")

    def image(self, x: Tensor) -> Tensor:
        """Of images."""
        return self.extractor(x).features @ self.maps["image.weight"].T + self.maps["image.bias"]

    def text(self, texts: Sequence[str]) -> Tensor:
        """Of texts."""
        return self.encode(texts) @ self.maps["text.weight"].T + self.maps["text.bias"]


def emoji_towers(extractor: Extractor, encode: TextEncoder) -> Towers:
    """The bundled aligner of emoji and their names on EfficientNet-Lite0 at 128 x 128 and all-MiniLM-L6-v2."""
    maps = Projected(WEIGHTS / "emoji-aligner.safetensors", extractor, encode)
    return Towers(maps.image, maps.text, "emoji aligner of EfficientNet-Lite0 and MiniLM", maps.hash)
