"""Spectral distance: how far the mean power spectra of two sets of series are apart, in decibels."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.series.moving import require_moving

FLOOR = 1e-12
"""Of the reference's mean power: beneath it a frequency is rounding, and its logarithm noise."""


def periodogram(x: Tensor) -> Tensor:
    """|FFT|^2 / L of each series about its own mean at the frequencies 1/L .. 1/2: ``[N, L, K]`` -> ``[N, L // 2, K]``."""
    if x.shape[1] < 4:
        raise DataError(f"a spectrum needs at least 4 steps, got {x.shape[1]}")
    return (torch.fft.rfft(x.double() - x.double().mean(1, keepdim=True), dim=1)[:, 1:].abs().square()) / x.shape[1]


def log_spectral_distance(mine: Tensor, theirs: Tensor) -> float:
    """sqrt(mean over frequencies and channels of (10 log10 P/Q)^2), of mean powers P and Q ``[F, K]``; 0 for equal ones.

    Series that are c times as large are 20 log10 c apart.
    """
    floor = FLOOR * theirs.mean(0)
    decibels = 10 * (mine.maximum(floor) / theirs.maximum(floor)).log10()
    return float(decibels.square().mean().sqrt())


def spectral_distance(samples: Tensor, reference: Tensor) -> float:
    """Of sets ``[N, L, K]`` and ``[M, L, K]``; a set with a channel that never moves is refused."""
    require_moving(samples, "samples")
    require_moving(reference, "reference")
    return log_spectral_distance(periodogram(samples).mean(0), periodogram(reference).mean(0))
