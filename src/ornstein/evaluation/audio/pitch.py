r"""Fundamental frequency by YIN (de Cheveigne & Kawahara 2002), and the errors between two contours.

d(tau) = sum_j (x_j - x_{j+tau})^2, normalised by its running mean: d'(tau) = d(tau) tau / sum_{k<=tau} d(k). The period is the
first dip of d' under the threshold, refined by a parabola; a frame without one is unvoiced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from ornstein.core.errors import DataError
from ornstein.evaluation.audio.spectrum import frames

THRESHOLD = 0.1
GROSS = 0.2
"""Relative error from which a pitch counts as wrong altogether (Rabiner et al. 1976)."""


def f0(wave: np.ndarray, rate: int, lowest: float, highest: float, hop: int) -> np.ndarray:
    """Hz of each frame, ``[F]``, NaN where it is unvoiced.

    Raises:
        DataError: a range of frequencies that the rate cannot show.
    """
    if not 0 < lowest < highest <= rate / 4:
        raise DataError(
            f"pitch is sought between 0 and {rate / 4:g} Hz at {rate} Hz, not from {lowest:g} to {highest:g}"
        )
    longest, shortest = int(np.ceil(rate / lowest)), int(rate / highest)
    x = frames(wave, 2 * longest, hop)
    raw = _difference(x, longest)
    dip = _normalised(raw)
    out = np.full(len(x), np.nan)
    loud = np.ptp(x, axis=1) > 0
    for i in np.flatnonzero(loud):
        tau = _first_dip(dip[i], raw[i], shortest)
        if tau is not None:
            out[i] = rate / tau
    return out


def _difference(x: np.ndarray, longest: int) -> np.ndarray:
    """d(tau), tau = 0 .. longest, over windows of ``longest`` values: energies minus twice the correlation, by FFT."""
    size = 1 << (3 * longest - 1).bit_length()
    head = np.fft.rfft(x[:, :longest], size)
    correlation = np.fft.irfft(np.conj(head) * np.fft.rfft(x, size), size)[:, : longest + 1]
    squares = np.concatenate([np.zeros((len(x), 1)), np.cumsum(x * x, axis=1)], axis=1)
    energy = squares[:, longest : 2 * longest + 1] - squares[:, : longest + 1]
    return np.maximum(energy[:, :1] + energy - 2 * correlation, 0)


def _normalised(d: np.ndarray) -> np.ndarray:
    """d'(tau); 1 at tau = 0."""
    running = np.cumsum(d[:, 1:], axis=1)
    out = np.ones_like(d)
    tau = np.arange(1, d.shape[1])
    np.divide(d[:, 1:] * tau, running, out=out[:, 1:], where=running > 0)
    return out


def _first_dip(d: np.ndarray, raw: np.ndarray, shortest: int) -> float | None:
    """The lag of the first local minimum of d' under the threshold from ``shortest`` on, refined on d, whose minimum the
    normalisation does not move; None if there is none."""
    under = np.flatnonzero(d[shortest:-1] < THRESHOLD)
    if not len(under):
        return None
    tau = int(under[0]) + shortest
    while tau + 2 < len(d) and d[tau + 1] < d[tau]:
        tau += 1
    left, mid, right = raw[tau - 1], raw[tau], raw[tau + 1]
    bend = left - 2 * mid + right
    return tau + (float(np.clip(0.5 * (left - right) / bend, -1, 1)) if bend > 0 else 0.0)


@final
@dataclass(frozen=True)
class PitchError:
    """``cents``: root mean square of 1200 log_2 (f / f') over frames that both have as voiced and that are not grossly
    wrong; ``gross``: share of the former that are off by more than a fifth; ``voicing``: share of frames that only one has
    as voiced. NaN where no frame qualifies."""

    cents: float
    gross: float
    voicing: float


def pitch_error(a: np.ndarray, b: np.ndarray) -> PitchError:
    """Of contours ``[F]`` in Hz against ``b``; the longer one is cut.

    Raises:
        DataError: an empty contour.
    """
    count = min(len(a), len(b))
    if not count:
        raise DataError("a contour without frames has no pitch error")
    a, b = a[:count], b[:count]
    voiced = np.isfinite(a) & np.isfinite(b)
    voicing = float((np.isfinite(a) != np.isfinite(b)).mean())
    if not voiced.any():
        return PitchError(np.nan, np.nan, voicing)
    ratio = a[voiced] / b[voiced]
    wrong = np.abs(ratio - 1) > GROSS
    fine = 1200 * np.log2(ratio[~wrong])
    return PitchError(float(np.sqrt(np.square(fine).mean())) if len(fine) else np.nan, float(wrong.mean()), voicing)
