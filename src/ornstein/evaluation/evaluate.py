"""Several metrics of one set of images against another, with the protocol written beside each number."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ornstein.core.errors import DataError, OrnsteinError, unknown
from ornstein.evaluation.features.extractors import Extractor, PixelFeatures
from ornstein.evaluation.frechet import frechet
from ornstein.evaluation.kid import kid
from ornstein.evaluation.prdc import prdc

METRICS = ("fd", "kid", "prdc", "label_agreement", "nearest")
DEFAULT = ("fd", "kid", "prdc")
PREFERS = {
    "fd": "lower", "kid": "lower", "precision": "higher", "recall": "higher", "density": "higher", "coverage": "higher",
    "label_agreement": "higher", "nearest_to_train": "higher",
}  # fmt: skip


@dataclass(frozen=True)
class Report:
    """``values`` by metric, and ``protocol``: everything that the numbers depend on."""

    values: dict[str, float]
    protocol: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def save(self, path: str | Path) -> Path:
        """As JSON."""
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(asdict(self), indent=1) + "\n")
        except OSError as e:
            raise OrnsteinError(f"could not write {path}: {e}") from e
        return path


def evaluate(
    samples: Tensor,
    reference: Tensor,
    *,
    metrics: Sequence[str] = DEFAULT,
    extractor: Extractor | None = None,
    labels: Tensor | None = None,
    train: Tensor | None = None,
    k: int = 5,
    about: dict[str, Any] | None = None,
) -> Report:
    """Measure samples against a reference; both uint8 ``[N, C, H, W]`` of one size.

    Args:
        metrics: of ``fd`` (Frechet distance of features), ``kid``, ``prdc``, ``label_agreement`` (needs ``labels`` and an
            extractor that classifies), ``nearest`` (median distance of a sample to its nearest training image over that of
            a reference image; well below 1 means copies; needs ``train``).
        extractor: default plain pixels at 16 x 16.
        labels: the classes that the samples were asked to be, ``[N]``.
        about: further lines of the protocol (split, sampler, steps, weights).

    Raises:
        DataError: other channels or size, fewer than 2 samples, labels missing or too many, features not finite.
        UsageError: an unknown metric.
    """
    for name in metrics:
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
    if samples.shape[1:] != reference.shape[1:]:
        a, b = ("x".join(map(str, x.shape[1:])) for x in (samples, reference))
        raise DataError(f"samples are {a} and the reference is {b} (channels x height x width); bring both to one size")
    if min(len(samples), len(reference)) < 2:
        raise DataError(f"a comparison needs at least 2 images on both sides, got {len(samples)} and {len(reference)}")
    extractor = extractor or PixelFeatures(samples.shape[1])
    mine, theirs = extractor(samples), extractor(reference)
    for name, f in (("samples", mine), ("reference", theirs)):
        if not bool(torch.isfinite(f.features).all()):
            raise DataError(f"the features of the {name} hold NaN or infinity")
    values: dict[str, float] = {}
    warnings: list[str] = []
    few = min(len(samples), len(reference))
    for name in metrics:
        if name == "fd":
            if few <= extractor.dims:
                warnings.append(
                    f"fd: {few} samples for {extractor.dims} feature dimensions bias the distance upwards; use more samples"
                )
            values["fd"] = frechet(mine.features, theirs.features)
        elif name == "kid":
            values["kid"] = kid(mine.features, theirs.features)
        elif name == "prdc":
            values |= asdict(prdc(mine.features, theirs.features, k))
        elif name == "label_agreement":
            if labels is None or mine.logits is None:
                raise DataError("label_agreement needs the samples' labels and an extractor that classifies")
            if len(labels) != len(samples):
                raise DataError(f"{len(labels)} labels for {len(samples)} samples")
            values["label_agreement"] = float((mine.logits.argmax(1) == labels).float().mean())
        elif name == "nearest":
            if train is None:
                raise DataError("nearest needs the training images")
            base = extractor(train).features
            near = [
                torch.cat([torch.cdist(p, base).min(1).values for p in f.features.split(500)]) for f in (mine, theirs)
            ]
            values["nearest_to_train"] = float(near[0].median() / near[1].median().clamp_min(1e-12))
    protocol = {
        "samples": len(samples),
        "reference": len(reference),
        "extractor": extractor.name,
        "extractor_hash": extractor.hash,
        "dims": extractor.dims,
        **({"k": k} if "prdc" in metrics else {}),
        **(about or {}),
        "torch": torch.__version__,
    }
    return Report(values, protocol, tuple(warnings))
