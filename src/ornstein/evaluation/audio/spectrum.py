"""Short-time spectra and mel bands, in float64."""

from __future__ import annotations

import numpy as np

FLOOR = 1e-10
"""Power under which a band counts as silent: -100 dB of full scale; keeps logarithms finite."""


def frames(wave: np.ndarray, window: int, hop: int) -> np.ndarray:
    """``[F, window]``; a clip shorter than a window is padded with zeros to one."""
    if len(wave) < window:
        wave = np.pad(wave, (0, window - len(wave)))
    return np.lib.stride_tricks.sliding_window_view(wave, window)[::hop]


def power(wave: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Power spectra ``[F, window / 2 + 1]`` under a periodic Hann window; a full-scale sine has a peak near 1/4.

    |sum_n w_n x_n e^{-2 pi i k n / N}|^2 / (sum_n w_n)^2.
    """
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return np.abs(np.fft.rfft(frames(wave, window, hop) * hann)) ** 2 / hann.sum() ** 2


def hz_to_mel(f: np.ndarray) -> np.ndarray:
    """2595 log_10(1 + f / 700)."""
    return 2595 * np.log10(1 + f / 700)


def mel_to_hz(m: np.ndarray) -> np.ndarray:
    """The inverse of :func:`hz_to_mel`."""
    return 700 * (10 ** (m / 2595) - 1)


def mel_bands(rate: int, window: int, bands: int) -> np.ndarray:
    """Triangles over the bins of a spectrum, ``[bins, bands]``, equally spaced in mel from 0 to rate / 2, peak 1."""
    bins = np.linspace(0, rate / 2, window // 2 + 1)
    edges = mel_to_hz(np.linspace(0, hz_to_mel(np.array(rate / 2)), bands + 2))
    rise = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rise, fall))


def log_mel(wave: np.ndarray, rate: int, window: int, hop: int, bands: int) -> np.ndarray:
    """Natural logarithm of the power in each band, ``[F, bands]``."""
    return np.log(np.maximum(power(wave, window, hop) @ mel_bands(rate, window, bands), FLOOR))
