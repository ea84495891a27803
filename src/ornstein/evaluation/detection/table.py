"""The metrics of scores and masks by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

from torch import Tensor

from ornstein.evaluation.detection.auprc import auprc
from ornstein.evaluation.detection.auroc import auroc
from ornstein.evaluation.detection.collection import Scores, ScoreSettings, require_labels
from ornstein.evaluation.detection.dice import best_dice, dice, iou
from ornstein.evaluation.modality import Given, Measure, Modality, Need, table_of

Inputs = Given[Scores]
_PAIRS: frozenset[Need] = frozenset({"reference", "pairs"})


def _ranked(name: str, score: Callable[[Tensor, Tensor], float], x: Inputs) -> dict[str, float]:
    scores, truth = x.samples.x, x.reference.x
    if x.index is not None and len(truth.unique()) < 2:
        return {name: float("nan")}  # a half of few positives may have none
    return {name: score(scores, truth)}


def _overlap(name: str, score: Callable[[Tensor, Tensor], Tensor], x: Inputs) -> dict[str, float]:
    threshold = cast(ScoreSettings, x.settings).threshold
    if x.samples.x.ndim == 1:  # one number a case is one mask over all of them
        mask = (x.samples.x >= threshold)[None]
        return {name: float(score(mask, x.reference.x[None]))}
    return {name: float(x.pair_column(name, lambda a, b: score(a.x >= threshold, b.x)).mean())}


METRICS = table_of(
    (
        Measure(
            "auroc", "area under the ROC curve, pixels pooled", {"auroc": "higher"}, partial(_ranked, "auroc", auroc), _PAIRS
        ),
        Measure(
            "auprc", "average precision, pixels pooled; chance is the share of positives", {"auprc": "higher"},
            partial(_ranked, "auprc", auprc), _PAIRS,
        ),
        Measure(
            "dice", "Dice coefficient at `threshold`, mean over images", {"dice": "higher"}, partial(_overlap, "dice", dice),
            _PAIRS, ("threshold",),
        ),
        Measure(
            "iou", "intersection over union at `threshold`, mean over images", {"iou": "higher"}, partial(_overlap, "iou", iou),
            _PAIRS, ("threshold",),
        ),
        Measure(
            "best_dice", "pooled Dice at the threshold that is best on these very labels: an upper bound",
            {"best_dice": "higher"}, partial(_ranked, "best_dice", best_dice), _PAIRS,
        ),
    )
)  # fmt: skip

DETECTION = Modality(
    "detection", "scores against labels, masks against true masks", Scores, METRICS, ("auroc", "auprc"), ScoreSettings,
    require_labels,
)  # fmt: skip
