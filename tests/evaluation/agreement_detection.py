"""Our metrics of scores and masks beside scikit-learn's."""

from __future__ import annotations

import torch
from sklearn.metrics import average_precision_score, f1_score, jaccard_score, precision_recall_curve, roc_auc_score
from torch import Tensor

from evaluation.trusted import Numbers, Row
from ornstein.evaluation.detection import auprc, auroc, best_dice, dice, iou


def scored() -> tuple[Tensor, Tensor]:
    """Score maps ``[12, 9, 7]`` with ties, and masks of which a fifth is 1."""
    g = torch.Generator().manual_seed(5)
    truth = (torch.rand(12, 9, 7, generator=g) < 0.2).double()
    return ((truth + torch.randn(12, 9, 7, generator=g)) * 8).round() / 8, truth


def of_ranked() -> tuple[Numbers, Numbers]:
    s, y = scored()
    flat = y.flatten().numpy(), s.flatten().numpy()
    return [auroc(s, y), auprc(s, y)], [roc_auc_score(*flat), average_precision_score(*flat)]


def of_overlap() -> tuple[Numbers, Numbers]:
    s, y = scored()
    mask = s > 0.5
    pairs = [(b.flatten().numpy(), a.flatten().numpy()) for a, b in zip(mask, y, strict=True)]
    theirs = [f1_score(b, a) for b, a in pairs] + [jaccard_score(b, a) for b, a in pairs]
    return dice(mask, y).tolist() + iou(mask, y).tolist(), theirs


def of_best() -> tuple[Numbers, Numbers]:
    s, y = scored()
    precision, recall, _ = precision_recall_curve(y.flatten().numpy(), s.flatten().numpy())
    return [best_dice(s, y)], [float((2 * precision * recall / (precision + recall).clip(1e-12)).max())]


ROWS = (
    Row("AUROC, AUPRC", "scikit-learn `roc_auc_score`, `average_precision_score`", of_ranked),
    Row("Dice, intersection over union", "scikit-learn `f1_score`, `jaccard_score`", of_overlap),
    Row("best Dice", "scikit-learn `precision_recall_curve`", of_best),
)
