r"""Mel-cepstral distortion, (10 / ln 10) sqrt(2 sum_{d=1}^{D} (c_d - c'_d)^2) in dB, mean over frames. Kubichek 1993.

The cepstrum is that of mel bands, c_d = (1/K) sum_k ln|S_k| cos(pi d (k + 1/2) / K), with ln|S| half the log power. Values
from other analyses (all-pass warped cepstra, as SPTK makes them) have the same scale and are not the same numbers.
c_0, the loudness, is left out, so a gain changes nothing.
"""

from __future__ import annotations

import numpy as np

from ornstein.core.errors import DataError
from ornstein.evaluation.audio.clips import Clip
from ornstein.evaluation.audio.dtw import warp
from ornstein.evaluation.audio.spectrum import log_mel

COEFFICIENTS = 24
DB = 10 / np.log(10) * np.sqrt(2)


def mel_cepstrum(clip: Clip, window: int, hop: int, bands: int, coefficients: int = COEFFICIENTS) -> np.ndarray:
    """c_1 to c_D of each frame, ``[F, D]``."""
    if not 0 < coefficients < bands:
        raise DataError(f"{coefficients} cepstral coefficients need more than as many mel bands, got {bands}")
    log_amplitude = log_mel(clip.wave, clip.rate, window, hop, bands) / 2
    d, k = np.arange(1, coefficients + 1), np.arange(bands)
    return log_amplitude @ np.cos(np.pi * (k[:, None] + 0.5) * d / bands) / bands


def mel_cepstral_distortion(a: np.ndarray, b: np.ndarray, align: bool = False) -> float:
    """Of two cepstra ``[F, D]`` and ``[G, D]`` in dB.

    ``align``: mean along the path of dynamic time warping; else frame i with frame i, and F = G.

    Raises:
        DataError: other numbers of coefficients; of frames, where they are not aligned.
    """
    if a.shape[1] != b.shape[1]:
        raise DataError(f"cepstra of {a.shape[1]} and {b.shape[1]} coefficients cannot be compared")
    if not align:
        if len(a) != len(b):
            raise DataError(f"clips of {len(a)} and {len(b)} frames are compared with time warping only (align=true)")
        return float(DB * np.sqrt(np.square(a - b).sum(1)).mean())
    squared = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
    distance = DB * np.sqrt(np.maximum(squared, 0))
    return float(distance[warp(distance)].mean())
