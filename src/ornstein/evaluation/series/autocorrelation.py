"""Autocorrelation distance, and the distance of the correlations between channels."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation.series.moving import require_moving, still


def autocorrelation(x: Tensor, lags: int) -> Tensor:
    r"""r_j = sum_t (x_t - m)(x_{t+j} - m) / sum_t (x_t - m)^2 of each series with its own mean m, lags 1 .. ``lags``.

    ``[N, L, K]`` -> ``[N, lags, K]``; NaN where a series is constant. By Fourier transform, padded so that it does not wrap.
    """
    length = x.shape[1]
    if not 1 <= lags < length:
        raise UsageError(f"lags must lie in 1 .. {length - 1} for series of {length} steps, got {lags}")
    centred = x.double() - x.double().mean(1, keepdim=True)
    power = torch.fft.rfft(centred, n=2 * length, dim=1).abs().square()
    products = torch.fft.irfft(power, n=2 * length, dim=1)[:, : lags + 1]
    found = products[:, 1:] / products[:, :1]
    return torch.where(still(x)[:, None], torch.nan, found)


def autocorrelation_distance(samples: Tensor, reference: Tensor, lags: int = 20) -> float:
    """Mean over lags and channels of the difference, without sign, of the sets' mean autocorrelations.

    Of ``[N, L, K]`` and ``[M, L, K]``; series that are constant are left out of the means, and a set of such only is refused.
    """
    require_moving(samples, "samples")
    require_moving(reference, "reference")
    return float((autocorrelation(samples, lags).nanmean(0) - autocorrelation(reference, lags).nanmean(0)).abs().mean())


def cross_correlation_distance(samples: Tensor, reference: Tensor) -> float:
    """Mean over pairs of channels of the difference, without sign, of their correlations over all steps of all series.

    The correlation score of Liao et al. 2020, 2006.05421, for lag 0.
    """
    if samples.shape[2] < 2:
        raise DataError("a correlation between channels needs at least 2 channels")
    require_moving(samples, "samples")
    require_moving(reference, "reference")
    a, b = (torch.corrcoef(x.double().flatten(0, 1).T) for x in (samples, reference))
    rows, columns = torch.triu_indices(len(a), len(a), 1)
    return float((a - b)[rows, columns].abs().mean())
