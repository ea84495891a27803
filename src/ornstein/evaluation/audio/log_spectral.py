r"""Log-spectral distance: mean over frames of sqrt(mean_k (10 log_10 P_k / P'_k)^2), dB. Gray & Markel 1976."""

from __future__ import annotations

import numpy as np

from ornstein.core.errors import DataError
from ornstein.evaluation.audio.spectrum import FLOOR, power


def log_spectral_distance(a: np.ndarray, b: np.ndarray, window: int, hop: int) -> float:
    """Of two waves ``[T]`` that begin together and differ by less than a hop in length; power is floored at -100 dB.

    Raises:
        DataError: other numbers of frames.
    """
    p, q = (10 * np.log10(np.maximum(power(x, window, hop), FLOOR)) for x in (a, b))
    if len(p) != len(q):
        raise DataError(f"clips of {len(p)} and {len(q)} frames have no log-spectral distance; cut both to one length")
    return float(np.sqrt(np.square(p - q).mean(1)).mean())
