"""Several metrics of one set of images against another, with the protocol written beside each number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation.bias import judge_size
from ornstein.evaluation.features.extractors import Extractor, PixelFeatures
from ornstein.evaluation.frechet import GaussianStatistics
from ornstein.evaluation.groups import SEPARATOR
from ornstein.evaluation.intervals import DRAWS, standard_errors
from ornstein.evaluation.record import Record
from ornstein.evaluation.reference import Reference
from ornstein.evaluation.registry import DEFAULT, Inputs, Metric, chosen, with_neighbours
from ornstein.evaluation.rows import Rows
from ornstein.evaluation.settings import Settings
from ornstein.evaluation.sources import Source, as_source
from ornstein.evaluation.stream import collect

OnProgress = Callable[[float, str], None]
PairMeasure = Callable[[Tensor, Tensor], Tensor]


def evaluate(
    samples: Tensor | Source,
    reference: Tensor | Source | Reference,
    *,
    metrics: Sequence[str] = DEFAULT,
    extractor: Extractor | None = None,
    labels: Tensor | None = None,
    train: Tensor | Source | None = None,
    pairs: Mapping[str, PairMeasure] | None = None,
    settings: Settings | None = None,
    draws: int = DRAWS,
    protocol: Mapping[str, Any] | None = None,
    subject: Mapping[str, Any] | None = None,
    work: str | Path | None = None,
    on_progress: OnProgress | None = None,
) -> Record:
    """Measure samples against a reference: uint8 ``[N, C, H, W]``, or sources that give them slice by slice.

    Args:
        metrics: names of :data:`ornstein.evaluation.registry.METRICS`.
        extractor: default plain pixels at 16 x 16.
        labels: the classes that the samples were asked to be, ``[N]``; a source brings its own.
        train: the training images, for ``memorisation`` and ``authenticity``.
        pairs: further measures between sample i and reference i by name, such as an :class:`LPIPS` with its backbone.
        draws: half-samples for the standard errors; 0 for none.
        protocol: more of how it was measured (split, filter of resizing). subject: what was measured.
        work: a folder where finished parts are kept, so that the same call goes on after an interruption, and a call for
            more metrics need not draw or read the images again; remove it when it is not needed any more.
        on_progress: told how far it is, in [0, 1], and a few words.

    Raises:
        DataError: other channels or size, too few samples, labels or training images missing, features not finite, a
            reference made with another extractor.
        UsageError: an unknown metric; ``fid`` with other features than the original Inception's.
    """
    settings = settings or Settings()
    rows = chosen(list(metrics))
    mine = as_source(samples, labels)
    theirs = reference if isinstance(reference, Reference) else as_source(reference)
    extractor = extractor or PixelFeatures(mine.shape[0])
    paired = bool(pairs) or any("pairs" in m.needs for m in rows)
    _check(rows, mine, theirs, extractor, train, paired)
    tell = on_progress or (lambda fraction, text: None)
    folder = None if work is None else Path(work)
    # Roughly in proportion to time: the reference, the samples (which may have to be drawn first), the metrics.
    known = theirs.rows_for(extractor) if isinstance(theirs, Reference) else None
    if known is None:
        assert not isinstance(theirs, Reference)
        known = collect(theirs, extractor, name="reference", work=folder, on_part=_part(tell, 0.0, 0.15, "reference"))
    base = None
    if train is not None and any("train" in m.needs for m in rows):
        base = collect(
            as_source(train),
            extractor,
            name="training set",
            work=folder,
            on_part=_part(tell, 0.15, 0.3, "training set"),
        )
    columns: dict[str, PairMeasure] = dict(pairs or {})
    columns |= {m.name: partial(_with, m.paired, settings) for m in rows if m.paired is not None}
    found = collect(
        mine,
        extractor,
        single={m.name: m.single for m in rows if m.single is not None},
        paired=columns,
        about=repr(settings) if columns else "",
        partner=theirs if paired and not isinstance(theirs, Reference) else None,
        work=folder,
        on_part=_part(tell, 0.3, 0.8, "samples"),
    )
    if base is not None:
        found = with_neighbours(found, base)
    values, errors, warnings = _compute(
        rows, list(pairs or {}), Inputs(found, known, base, settings, classes=tuple(extractor.classes)), draws, tell
    )
    used = {name: asdict(settings)[name] for m in rows for name in m.uses}
    about = {
        "samples": len(found),
        "reference": len(known),
        "size": "x".join(map(str, mine.shape)),
        "extractor": extractor.name,
        "extractor_hash": extractor.hash,
        "dims": extractor.dims,
        "preprocessing": extractor.preprocessing,
        "colour": "grey" if mine.shape[0] == 1 else "RGB",
        "settings": used | ({"train": len(base)} if base is not None else {}),
        "interval": f"95 %, {draws} half-samples of the samples" if draws else "none",
        "reference_hash": theirs.content_hash,
    }
    tell(1.0, "done")
    return Record(values, errors, {**about, **(protocol or {})}, dict(subject or {}), warnings=tuple(warnings))


def _check(
    rows: Sequence[Metric],
    samples: Source,
    reference: Source | Reference,
    extractor: Extractor,
    train: Tensor | Source | None,
    paired: bool,
) -> None:
    """What can be refused before an image is measured."""
    for metric in rows:
        if "inception" in metric.needs and not extractor.original_inception:
            raise UsageError(
                f"only the Inception network of the original makes a distance an FID, and these features are "
                f"{extractor.name}; ask for fd, or give the weights file (--extractor inception=FILE)"
            )
        if "train" in metric.needs and train is None:
            raise DataError(f"{metric.name} needs the training images")
    if tuple(samples.shape) != tuple(reference.shape):
        a, b = ("x".join(map(str, x.shape)) for x in (samples, reference))
        raise DataError(f"samples are {a} and the reference is {b} (channels x height x width); bring both to one size")
    if min(len(samples), len(reference)) < 2:
        raise DataError(f"a comparison needs at least 2 images on both sides, got {len(samples)} and {len(reference)}")
    if paired:
        if isinstance(reference, Reference):
            raise DataError("paired measures need the reference's images, and this reference holds features only")
        if len(samples) != len(reference):
            raise DataError(
                f"paired measures compare sample i with reference i, and there are {len(samples)} and {len(reference)}"
            )
    if isinstance(reference, Reference):
        reference.require(extractor)


def _compute(
    rows: Sequence[Metric], own: Sequence[str], inputs: Inputs, draws: int, tell: OnProgress
) -> tuple[dict[str, float], dict[str, float], list[str]]:
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    warnings: list[str] = []
    n, m, dims = len(inputs.samples), len(inputs.reference), inputs.reference.features.shape[1]
    if any(metric.name in ("fd", "fid") for metric in rows):
        cov = GaussianStatistics(dims).add(inputs.reference.features).cov
        name = "fid" if any(metric.name == "fid" for metric in rows) else "fd"
        warning = judge_size(name, n, m, dims, cov)
        warnings += [warning] if warning else []

    def half(compute: Callable[[Inputs], dict[str, float]], index: Tensor) -> dict[str, float]:
        return compute(inputs.of(inputs.samples.take(index)))

    todo = [(metric.name, metric.compute, metric.gives) for metric in rows]
    todo += [(name, partial(_column, name), {name: ""}) for name in own]
    for i, (name, compute, gives) in enumerate(todo):
        tell(0.8 + 0.2 * i / len(todo), name)
        values |= compute(inputs)
        judged = {key for key in gives if not key.endswith("_p")}  # a p-value has no error of its own
        if draws and n >= 4 * max(2, inputs.settings.k):
            found = standard_errors(partial(half, compute), n, draws, inputs.settings.seed)
            errors |= {key: error for key, error in found.items() if key in judged or _of_group(key)}
    return values, errors, warnings


def _column(name: str, x: Inputs) -> dict[str, float]:
    return {name: float(x.samples.columns[name].nanmean())}


def _of_group(key: str) -> bool:
    """Whether a value is a group's, and of the samples: the reference is kept and has no error here."""
    return SEPARATOR in key and not key.startswith("real_")


def _with(measure: Callable[[Tensor, Tensor, Settings], Tensor], settings: Settings, x: Tensor, y: Tensor) -> Tensor:
    return measure(x, y, settings)


def _part(tell: OnProgress, begin: float, end: float, what: str) -> Callable[[int, int], None]:
    return lambda done, total: tell(begin + (end - begin) * done / total, f"{what} {done}/{total}")


def features_of(
    images: Tensor | Source, extractor: Extractor, name: str = "reference", on_progress: OnProgress | None = None
) -> Rows:
    """The features of images, as :func:`evaluate` takes them."""
    return collect(
        as_source(images), extractor, name=name, on_part=_part(on_progress or (lambda f, t: None), 0, 1, name)
    )
