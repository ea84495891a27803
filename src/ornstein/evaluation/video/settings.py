"""What metrics of video depend on; those that a metric uses are part of its protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final


@final
@dataclass(frozen=True)
class VideoSettings:
    """Lengths are in pixels."""

    flow: Literal["block", "tvl1"] = "block"
    """of the warping error: block matching, or TV-L1 of scikit-image"""
    block: int = 8
    """side of a block"""
    radius: int = 4
    """farthest displacement that block matching looks for"""
    seed: int = 0
    """of half-samples"""
