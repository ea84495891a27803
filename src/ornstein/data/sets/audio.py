"""Decode sound files of any format. Needs ``pip install 'ornstein[audio]'`` (PyAV, which carries its own FFmpeg)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ornstein.core.errors import DataError


def read_audio(path: Path, rate: int, form: str | None = None) -> np.ndarray:
    """One channel as int16 at ``rate`` samples a second. ``form`` names the format where the contents do not."""
    try:
        import av
    except ImportError:
        raise DataError(f"{path.name} is read with PyAV: pip install 'ornstein[audio]'") from None
    try:
        with av.open(str(path), format=form) as file:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
            frames = [out for frame in file.decode(audio=0) for out in resampler.resample(frame)]
            frames += resampler.resample(None)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be decoded ({error}); unpack the package again") from None
    parts = [frame.to_ndarray().ravel() for frame in frames]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def padded(waves: Sequence[np.ndarray], rate: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """``[N, 1, T]`` int16 of the first ``seconds`` of each, zeros after its end, and how much of each counts ``[N]``."""
    most = round(rate * seconds)
    x = np.zeros((len(waves), 1, most), dtype=np.int16)
    for row, wave in zip(x, waves, strict=True):
        row[0, : len(wave)] = wave[:most]
    return x, np.array([min(len(wave), most) for wave in waves], dtype=np.int64)
