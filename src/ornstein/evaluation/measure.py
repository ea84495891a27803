"""Several metrics of series, tables, texts or scores, with the protocol written beside each number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation.intervals import DRAWS, standard_errors
from ornstein.evaluation.modalities import modality_of
from ornstein.evaluation.modality import C, Given, Measure
from ornstein.evaluation.record import Record

LEAST_FOR_INTERVALS = 8
"""Halves of fewer samples say nothing of a spread."""


def measure(
    samples: C,
    reference: C | None = None,
    *,
    metrics: Sequence[str | Measure[C]] | None = None,
    train: C | None = None,
    settings: Any = None,
    draws: int = DRAWS,
    protocol: Mapping[str, Any] | None = None,
    subject: Mapping[str, Any] | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> Record:
    """Measure samples (:class:`Series`, :class:`Table`, :class:`Texts`, :class:`Scores`) against a reference of that kind.

    Args:
        metrics: names of the modality's table, or measures of your own; by default those that the modality names.
        train: the training data, for metrics that ask for it.
        settings: the modality's settings, such as :class:`TextSettings`.
        draws: half-samples for the standard errors; 0 for none.
        protocol: more of how it was measured. subject: what was measured.
        on_progress: told how far it is, in [0, 1], and the metric's name.

    Raises:
        DataError: other lengths, channels or columns; too few samples; a reference or training data missing.
        UsageError: an unknown metric, settings of another modality.
    """
    modality = modality_of(samples)
    named: Sequence[str | Measure[C]] = modality.default if metrics is None else metrics
    rows: list[Measure[C]] = []
    for one in named or modality.chosen([]):
        rows += [one] if isinstance(one, Measure) else modality.chosen([one])
    rows = list({row.name: row for row in rows}.values())
    settings = modality.settings() if settings is None else settings
    if not isinstance(settings, modality.settings):
        raise UsageError(f"{modality.name} takes {modality.settings.__name__}, got {type(settings).__name__}")
    for other, name in ((reference, "reference"), (train, "training data")):
        if other is not None:
            if not isinstance(other, modality.collection):
                raise DataError(f"the samples are {modality.name} and the {name} is {type(other).__name__}")
            modality.require(samples, other, name)
    _check(rows, samples, reference, train)
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    warnings: list[str] = []
    kept: dict[str, Any] = {}
    for i, row in enumerate(rows):
        if on_progress is not None:
            on_progress(i / len(rows), row.name)
        given = Given(samples, reference, train, settings, paired="pairs" in row.needs, kept=kept)
        found = row.compute(given)
        if stray := set(found) - set(row.gives):
            raise ValueError(f"the metric {row.name} gives {sorted(stray)}, which it does not declare")
        values |= found
        errors |= given.errors
        warnings += [w for w in given.warnings if w not in warnings]
        if row.resampled and draws and len(samples) >= LEAST_FOR_INTERVALS:
            spread = standard_errors(partial(_part, row, given), len(samples), draws, settings.seed)
            # Not finite where a half has no value, as of series that are constant.
            errors |= {key: spread[key] for key in found if key not in row.fixed and math.isfinite(spread[key])}
    used: dict[str, Any] = {name: asdict(settings)[name] for row in rows for name in row.uses}
    used |= {key: value for row in rows for key, value in row.protocol.items()}
    if train is not None and any("train" in row.needs for row in rows):
        used |= {"train": len(train), "train_hash": train.content_hash[:12]}
    about = {
        "modality": modality.name,
        "samples": len(samples),
        **({} if reference is None else {"reference": len(reference)}),
        **samples.about,
        "settings": used,
        "interval": f"95 %, {draws} half-samples of the samples" if draws else "none",
        **({} if reference is None else {"reference_hash": reference.content_hash}),
    }
    if on_progress is not None:
        on_progress(1.0, "done")
    return Record(values, errors, about | dict(protocol or {}), dict(subject or {}), warnings=tuple(warnings))


def _part(row: Measure[C], given: Given[C], index: Tensor) -> dict[str, float]:
    return row.compute(given.of(index))


def _check(rows: Sequence[Measure[C]], samples: C, reference: C | None, train: C | None) -> None:
    for row in rows:
        for other, need, name in ((reference, "reference", "a reference"), (train, "train", "the training data")):
            if need in row.needs and other is None:
                raise DataError(f"{row.name} needs {name}")
        if "pairs" in row.needs:
            if reference is None:
                raise DataError(f"{row.name} needs a reference")
            if len(samples) != len(reference):
                raise DataError(
                    f"{row.name} compares sample i with reference i, and there are {len(samples)} and {len(reference)}"
                )
        for other, name in ((samples, "samples"), (reference if "reference" in row.needs else None, "references")):
            if other is not None and len(other) < row.least:
                raise DataError(f"{row.name} needs at least {row.least} {name}, got {len(other)}")
