"""Metrics of time series. Draws are ``[N, M, ...]``, what happened ``[N, ...]``; sets are ``[N, L, K]``."""

from ornstein.evaluation.series.autocorrelation import autocorrelation_distance as autocorrelation_distance
from ornstein.evaluation.series.autocorrelation import cross_correlation_distance as cross_correlation_distance
from ornstein.evaluation.series.collection import Series as Series
from ornstein.evaluation.series.collection import SeriesSettings as SeriesSettings
from ornstein.evaluation.series.coverage import covered as covered
from ornstein.evaluation.series.crps import crps as crps
from ornstein.evaluation.series.crps import crps_fair as crps_fair
from ornstein.evaluation.series.crps import crps_quantile as crps_quantile
from ornstein.evaluation.series.crps_sum import crps_sum as crps_sum
from ornstein.evaluation.series.discriminative import discriminative as discriminative
from ornstein.evaluation.series.energy_score import energy_score as energy_score
from ornstein.evaluation.series.predictive import predictive as predictive
from ornstein.evaluation.series.quantile_loss import quantile_loss as quantile_loss
from ornstein.evaluation.series.spectral import spectral_distance as spectral_distance
