"""What is reported after each step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """What a callback is told after each step."""

    stage: str
    step: int
    """of the stage, from 1"""
    steps: int
    loss: float
    seen: int
    """samples in all"""
    here: int
    """samples since this process began to train"""
    seconds: float
    """of this process's training so far"""
    fraction: float
    """of the budget, the nearest of steps, minutes and kimg"""
    grad_norm: float
    """of the last player that moved, before clipping"""
    lr: float

    @property
    def images_per_second(self) -> float:
        """Since this process began to train."""
        return self.here / max(self.seconds, 1e-9)
