"""Downstream utility: a model trained on samples and judged on real rows, beside one trained on real rows.

Gradient boosted trees of scikit-learn; macro F1 of a column of categories, R^2 of one of numbers. Esteban et al. 2017, 1706.02633
("train on synthetic, test on real"); Kotelnikov et al. 2023, *TabDDPM*, with the same scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError, DataError, UsageError, suggest
from ornstein.evaluation.intervals import standard_errors
from ornstein.evaluation.tabular.collection import Table

LEAST = 20
MOST_CATEGORIES = 255
"""What scikit-learn's boosted trees take in one column."""


@dataclass(frozen=True)
class Utility:
    """``score`` of the model trained on samples, ``real`` of one trained on real rows, and their standard errors over the
    rows that they were judged on; ``kind`` of score."""

    score: float
    real: float
    error: float
    real_error: float
    kind: str


def macro_f1(said: np.ndarray, truth: np.ndarray) -> float:
    """The mean over all classes said or true of 2 TP / (2 TP + FP + FN)."""
    classes = np.unique(np.concatenate([said, truth]))
    hits = [((said == c) & (truth == c)).sum() * 2 / ((said == c).sum() + (truth == c).sum()) for c in classes]
    return float(np.mean(hits))


def r_squared(said: np.ndarray, truth: np.ndarray) -> float:
    """1 - sum (y - y^)^2 / sum (y - mean y)^2; NaN where the truth is constant."""
    total = ((truth - truth.mean()) ** 2).sum()
    return float(1 - ((truth - said) ** 2).sum() / total) if total else float("nan")


def utility(samples: Table, reference: Table, target: str, seed: int = 0, draws: int = 50) -> Utility:
    """A random half of the reference is judged on; the other half, and as many samples, train the two models.

    Raises:
        UsageError: no such target (suggests the nearest).
        DataError: too few rows or columns, too many categories, a target that never varies.
        CapabilityError: scikit-learn is missing.
    """
    if target not in samples.columns:
        raise UsageError(f"the table has no column '{target}' to predict: {suggest(target, samples.columns)}")
    half = len(reference) // 2
    if len(samples.columns) < 2 or min(half, len(samples)) < LEAST // 2:
        raise DataError(
            f"utility needs 2 columns, {LEAST} reference rows and {LEAST // 2} samples, got {len(samples.columns)} columns, "
            f"{len(reference)} and {len(samples)} rows"
        )
    g = torch.Generator().manual_seed(seed)
    order, mine = torch.randperm(len(reference), generator=g), torch.randperm(len(samples), generator=g)[:half]
    test, real, fake = reference.take(order[half:]), reference.take(order[:half]), samples.take(mine)
    truth = test.columns[target]
    if len(np.unique(truth)) < 2:
        raise DataError(
            f"the target '{target}' never varies in the rows that are judged on; take another, or more rows"
        )
    classes = truth.dtype.kind != "f"
    judge = macro_f1 if classes else r_squared
    scores, errors = [], []
    for part in (fake, real):
        said = _predict(part, test, target, reference, seed)

        def of(index: Tensor, said: np.ndarray = said) -> dict[str, float]:
            return {"score": judge(said[index.numpy()], truth[index.numpy()])}

        scores.append(judge(said, truth))
        errors.append(standard_errors(of, len(truth), draws, seed)["score"])
    return Utility(scores[0], scores[1], errors[0], errors[1], "macro F1" if classes else "R^2")


def _predict(train: Table, test: Table, target: str, reference: Table, seed: int) -> np.ndarray:
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    except ImportError as e:
        raise CapabilityError('utility needs scikit-learn: pip install "ornstein[eval]"') from e
    y = train.columns[target]
    if len(np.unique(y)) < 2:
        return np.full(len(test), y[0])  # a sample that collapsed still answers something
    names = [name for name in train.columns if name != target]
    x, held_out = (np.stack([_codes(t, n, reference) for n in names], 1) for t in (train, test))
    options: dict[str, Any] = {
        "categorical_features": [name in reference.categories for name in names], "random_state": seed, "early_stopping": False,
        "min_samples_leaf": max(1, min(20, len(y) // 20)),  # with the default of 20, fewer than 40 rows are never divided
    }  # fmt: skip
    model = HistGradientBoostingRegressor if y.dtype.kind == "f" else HistGradientBoostingClassifier
    return np.asarray(model(**options).fit(x, y).predict(held_out))


def _codes(table: Table, name: str, reference: Table) -> np.ndarray:
    """Numbers as they are; categories as their place among the reference's, and NaN where it has none such."""
    values = table.columns[name]
    if values.dtype.kind == "f":
        return values
    known = np.unique(reference.columns[name])
    if len(known) > MOST_CATEGORIES:
        raise DataError(
            f"the column '{name}' has {len(known)} categories, and boosted trees take {MOST_CATEGORIES}; drop or group them"
        )
    place = np.searchsorted(known, values).clip(max=len(known) - 1)
    return np.where(known[place] == values, place.astype(np.float64), np.nan)
