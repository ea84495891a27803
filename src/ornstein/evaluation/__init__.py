"""Evaluation: metrics take samples, not models; every number carries its protocol."""

from ornstein.evaluation.detection.collection import Scores as Scores
from ornstein.evaluation.detection.collection import ScoreSettings as ScoreSettings
from ornstein.evaluation.evaluate import evaluate as evaluate
from ornstein.evaluation.evaluate import features_of as features_of
from ornstein.evaluation.frechet import GaussianStatistics as GaussianStatistics
from ornstein.evaluation.frechet import frechet as frechet
from ornstein.evaluation.frechet import frechet_distance as frechet_distance
from ornstein.evaluation.kid import kid as kid
from ornstein.evaluation.measure import measure as measure
from ornstein.evaluation.modalities import MODALITIES as MODALITIES
from ornstein.evaluation.modality import Measure as Measure
from ornstein.evaluation.prdc import PRDC as PRDC
from ornstein.evaluation.prdc import prdc as prdc
from ornstein.evaluation.record import Record as Record
from ornstein.evaluation.reference import Reference as Reference
from ornstein.evaluation.registry import METRICS as METRICS
from ornstein.evaluation.series.collection import Series as Series
from ornstein.evaluation.series.collection import SeriesSettings as SeriesSettings
from ornstein.evaluation.settings import Settings as Settings
from ornstein.evaluation.sources import Source as Source
from ornstein.evaluation.tabular.collection import Table as Table
from ornstein.evaluation.tabular.collection import TableSettings as TableSettings
from ornstein.evaluation.text.collection import Texts as Texts
from ornstein.evaluation.text.collection import TextSettings as TextSettings
