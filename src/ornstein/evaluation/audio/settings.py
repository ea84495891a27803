"""What metrics of audio depend on; those that a metric uses are part of its protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class AudioSettings:
    """Lengths are in values of the wave."""

    window: int = 1024
    """of a spectrum"""
    hop: int = 256
    """between spectra, and between pitches"""
    bands: int = 80
    """mel bands under the cepstrum of mcd"""
    coefficients: int = 24
    """of the cepstrum of mcd, without the zeroth"""
    lowest: float = 60.0
    """Hz, of a pitch"""
    highest: float = 500.0
    """Hz, of a pitch"""
    seed: int = 0
    """of half-samples"""
