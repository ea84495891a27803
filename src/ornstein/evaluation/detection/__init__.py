"""Metrics of detection and segmentation: scores or masks ``[N, ...]`` against 0 and 1 of that shape."""

from ornstein.evaluation.detection.auprc import auprc as auprc
from ornstein.evaluation.detection.auroc import auroc as auroc
from ornstein.evaluation.detection.collection import Scores as Scores
from ornstein.evaluation.detection.collection import ScoreSettings as ScoreSettings
from ornstein.evaluation.detection.dice import best_dice as best_dice
from ornstein.evaluation.detection.dice import dice as dice
from ornstein.evaluation.detection.dice import iou as iou
