"""The extractors that work offline: the bundled classifiers, and plain pixels where none fits."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
import torch.nn.functional as F
from safetensors.torch import load as load_bytes
from torch import Tensor

from ornstein.core.errors import CheckpointError, DataError, unknown
from ornstein.evaluation.features.classifier import SIZE, Classifier

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Features:
    """``features [N, D]`` float32, and ``logits [N, K]`` where the extractor is a classifier."""

    features: Tensor
    logits: Tensor | None = None


class Extractor(ABC):
    """Images uint8 ``[N, C, H, W]`` -> features. ``hash`` tells two extractors of one name apart."""

    name: str
    hash: str
    dims: int
    preprocessing: str
    """how images of other sizes are brought to the network's: filter, crop, range"""
    classes: tuple[str, ...] = ()
    original_inception: bool = False
    """whether a Frechet distance of these features may be called FID"""

    @abstractmethod
    def batch(self, x: Tensor) -> Features:
        """One batch; ``x`` uint8."""

    def __call__(self, x: Tensor, size: int = 250) -> Features:
        """All images, ``size`` at a time."""
        if x.dtype != torch.uint8 or x.ndim != 4:
            raise DataError(f"images must be uint8 [N, C, H, W], got {x.dtype} of shape {tuple(x.shape)}")
        if len(x) == 0:
            raise DataError("no images to take features of")
        parts = [self.batch(x[i : i + size]) for i in range(0, len(x), size)]
        logits = [p.logits for p in parts if p.logits is not None]
        return Features(torch.cat([p.features for p in parts]), torch.cat(logits) if logits else None)


@final
class ClassifierFeatures(Extractor):
    """The penultimate layer of a bundled classifier: ``fashion-mnist`` and ``digits`` (grey, 28 x 28), ``emoji`` (32 x 32)."""

    def __init__(self, name: str):
        file = WEIGHTS / f"{name}.safetensors"
        if not file.is_file():
            raise unknown("classifier", name, [p.stem for p in WEIGHTS.glob("*.safetensors")])
        about = json.loads(file.with_suffix(".json").read_text())
        content = file.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != about["sha256"]:
            raise CheckpointError(
                f"{file.name} has hash {found[:12]}, expected {about['sha256'][:12]}: install ornstein anew"
            )
        self.name, self.hash, self.dims = f"{name} classifier", found, int(about["features"])
        self.channels, self.size = int(about.get("channels", 1)), int(about.get("size", SIZE))
        self.preprocessing = (
            f"border of up to 4 pixels cut, else antialiased bilinear to {self.size}x{self.size}; [-1, 1]"
        )
        self.classes = tuple(about["classes"])
        self.accuracy = float(about["test_accuracy"])
        self._net = Classifier(len(self.classes), int(about["width"]), self.dims, self.channels)
        self._net.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in load_bytes(content).items()}
        )
        self._net.eval()

    @property
    def network(self) -> Classifier:
        """The classifier itself, in evaluation mode."""
        return self._net

    @torch.no_grad()
    def batch(self, x: Tensor) -> Features:
        if x.shape[1] != self.channels:
            wanted = "grey" if self.channels == 1 else "colour"
            raise DataError(f"the {self.name} takes {wanted} images, these have {x.shape[1]} channels")
        y = x.float() / 127.5 - 1
        if y.shape[-2:] != (self.size, self.size):
            y = _to_size(y, self.size)
        features, logits = self._net(y.contiguous(memory_format=torch.channels_last))
        return Features(features, logits)


def _to_size(x: Tensor, size: int) -> Tensor:
    """A border of up to 4 pixels is cut (28 -> 32 is how sets of digits are padded), the rest is resized by area."""
    h, w = x.shape[-2:]
    if h == w and size < h <= size + 4 and (h - size) % 2 == 0:
        cut = (h - size) // 2
        return x[..., cut:-cut, cut:-cut]
    return F.interpolate(x, (size, size), mode="bilinear", antialias=True, align_corners=False)


@final
class PixelFeatures(Extractor):
    """The pixels themselves, brought to 16 x 16 by antialiased interpolation: for data with no classifier of its own."""

    def __init__(self, channels: int, side: int = 16):
        self.side = side
        self.name, self.hash, self.dims = f"pixels {side}x{side}", f"pixels-{side}-{channels}", channels * side * side

        self.preprocessing = f"antialiased bilinear to {side}x{side}; [-1, 1]"

    def batch(self, x: Tensor) -> Features:
        y = x.float() / 127.5 - 1
        if y.shape[-1] != self.side or y.shape[-2] != self.side:
            y = F.interpolate(y, (self.side, self.side), mode="bilinear", antialias=True, align_corners=False)
        return Features(y.flatten(1))


def extractor_for(data: str, channels: int) -> Extractor:
    """The bundled classifier that fits a named set, else pixels."""
    file = WEIGHTS / f"{data}.json"
    if file.is_file() and json.loads(file.read_text()).get("channels", 1) == channels:
        return ClassifierFeatures(data)
    return PixelFeatures(channels)
