"""Our metrics of volumes beside scikit-learn's."""

from __future__ import annotations

import torch
from sklearn.metrics import jaccard_score

from evaluation.trusted import Numbers, Row
from ornstein.evaluation.voxels import class_iou, iou


def of_overlap() -> tuple[Numbers, Numbers]:
    g = torch.Generator().manual_seed(0)
    a, b = (torch.randint(0, 4, (5, 6, 6, 6), generator=g) for _ in range(2))
    pairs = [(y.flatten().numpy(), x.flatten().numpy()) for x, y in zip(a, b, strict=True)]
    classes = [jaccard_score(y, x, labels=[1, 2, 3], average="macro") for y, x in pairs]
    return iou(a, b).tolist() + class_iou(a, b).tolist(), [jaccard_score(y > 0, x > 0) for y, x in pairs] + classes


ROWS = (Row("intersection over union", "scikit-learn `jaccard_score`", of_overlap),)
