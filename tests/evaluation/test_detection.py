"""Metrics of scores and masks against closed forms, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from ornstein.core.errors import DataError
from ornstein.evaluation import Scores, ScoreSettings, measure
from ornstein.evaluation.detection import auprc, auroc, best_dice, dice, iou


def test_ranks_by_hand() -> None:
    truth = torch.tensor([0, 0, 1, 1])
    assert auroc(torch.tensor([0.1, 0.4, 0.35, 0.8]), truth) == 0.75  # of four pairs one is the wrong way round
    assert auroc(torch.zeros(4), truth) == 0.5 and auroc(-truth, truth) == 0 and auroc(truth, truth) == 1
    # Thresholds from above: 1/1 at recall 1/2, then 2/3 at recall 1.
    assert auprc(torch.tensor([0.1, 0.4, 0.35, 0.8]), truth) == pytest.approx((1 + 2 / 3) / 2)
    assert auprc(torch.zeros(4), truth) == 0.5  # nothing known: the share of positives


def test_auroc_of_two_gaussians() -> None:
    """P(N(d, 1) > N(0, 1)) = Phi(d / sqrt 2)."""
    g = torch.Generator().manual_seed(0)
    scores = torch.randn(20_000, generator=g) + torch.tensor([0.0, 1.2]).repeat(10_000)
    wanted = 0.5 * math.erfc(-1.2 / 2)
    assert auroc(scores, torch.arange(20_000) % 2) == pytest.approx(wanted, abs=0.01)


def test_overlap_by_hand() -> None:
    truth = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]])
    masks = torch.tensor([[[1, 0], [1, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 1]]])
    assert dice(masks, truth).tolist() == [0.5, 1, 0]  # empty and found empty is right
    assert iou(masks, truth).tolist() == pytest.approx([1 / 3, 1, 0])
    made = measure(Scores(masks), Scores(truth), metrics=["dice", "iou"])
    assert made.values == pytest.approx({"dice": 0.5, "iou": 4 / 9}) and made.protocol["size"] == "2x2"


def test_the_best_threshold_is_an_upper_bound() -> None:
    g = torch.Generator().manual_seed(0)
    truth = (torch.rand(30, generator=g) < 0.4).double()
    scores = truth + torch.randn(30, generator=g)
    every = [
        measure(Scores(scores), Scores(truth), metrics=["dice"], settings=ScoreSettings(threshold=t), draws=0).values[
            "dice"
        ]
        for t in scores.tolist()
    ]
    assert best_dice(scores, truth) == pytest.approx(max(every))


def test_an_interval_is_left_out_where_halves_have_one_class() -> None:
    truth = torch.zeros(40)
    truth[0] = 1
    made = measure(Scores(torch.arange(40.0)), Scores(truth), metrics=["auroc"])
    assert made.values == {"auroc": 0.0} and made.errors == {}
    both = measure(Scores(torch.arange(40.0).flip(0)), Scores((torch.arange(40) % 3 == 0).double()), metrics=["auroc"])
    assert both.errors["auroc"] > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Scores(torch.tensor([1.0, torch.nan])), "NaN or infinity, first in case 1"),
        (lambda: Scores(torch.zeros(0)), "not empty"),
        (lambda: measure(Scores(torch.rand(4)), Scores(torch.ones(4))), "all labels are the same"),
        (lambda: measure(Scores(torch.rand(4)), Scores(torch.tensor([0, 1, 2, 255]))), "are 0 and 1, got 0, 1, 2, 255; set a"),
        (lambda: measure(Scores(torch.rand(4)), Scores(torch.tensor([0, 1, 1]))), "there are 4 and 3"),
        (lambda: measure(Scores(torch.rand(4, 2, 2)), Scores(torch.ones(4, 3, 2))), r"shape \(2, 2\) and the reference \(3, 2\)"),
        (lambda: dice(torch.ones(2, 3), torch.ones(2, 4)), "not of one shape"),
    ],
)  # fmt: skip
def test_bad_scores(make: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()
