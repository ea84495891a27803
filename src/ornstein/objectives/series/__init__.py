"""Objectives of time series: some cells are known, others are sought, the rest nobody observed."""

from ornstein.objectives.series.autoregressive import Autoregressive as Autoregressive
from ornstein.objectives.series.imputation import Imputation as Imputation
from ornstein.objectives.series.masks import MASKS as MASKS
from ornstein.objectives.series.masks import Masks as Masks
from ornstein.objectives.series.masks import get_masks as get_masks
