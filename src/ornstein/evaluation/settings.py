"""The numbers that metrics depend on; those that a metric uses are part of its protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Settings:
    """One for all metrics; each names the fields that it uses."""

    k: int = 5
    """neighbours, of prdc"""
    splits: int = 1
    """of classifier_score; papers use 10"""
    projections: int = 256
    """directions of sliced_wasserstein"""
    bandwidth: float | None = None
    """of mmd; None: the median distance between reference vectors"""
    factor: int = 4
    """reduction of lr_consistency"""
    seed: int = 0
    """of random directions, halves and half-samples"""
