"""What metrics of point clouds depend on; those that a metric uses are part of its protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class PointSettings:
    """For all metrics of point clouds."""

    cells: int = 28
    """of jsd, along each axis of the smallest cube around the reference"""
    seed: int = 0
    """of half-samples"""
