"""What an engine is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ornstein.core.errors import UsageError
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.samplers.base import Step

Task = Callable[[System, Callable[[Step], None]], Samples]
"""Anything else that draws with a model's denoiser, such as a restoration or an edit. It is given the system, whose network
calls are shared with other requests, and a function to call after each step."""

LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Request:
    """``n`` samples of a model: sample i depends on ``seed + i`` and its own conditions, as in ``System.sample``.

    Names of models, samplers and grids are checked when it is submitted; what only the model can tell (labels, guidance)
    when the model is there.

    Raises:
        UsageError: a number is out of range.
    """

    model: str
    n: int = 1
    seed: int = 0
    steps: int | None = None
    """default: the recipe's"""
    sampler: str | None = None
    grid: str | None = None
    guidance: float | None = None
    guidance_method: str | None = None
    label: str | int | None = None
    """a class name or its number; default: the classes in turn"""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """others that the model declares"""
    prompt: str | None = None
    """what to draw: a caption for models that read text; for those that know classes, words that name one"""
    priority: int = 0
    """higher goes first, and pauses what is lower between two steps"""
    deadline: float | None = None
    """seconds from submission after which the result is of no use"""
    preview_every: int = 0
    """a preview in every so many step events; 0: in none"""
    client: str = ""
    """whose share of the queue it takes"""
    task: Task | None = None
    """in place of sampling: ``steps``, ``sampler`` and the rest are then the task's own"""

    def __post_init__(self) -> None:
        for name in ("n", "steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")
        if not 0 <= self.seed <= LARGEST_SEED - self.n:
            raise UsageError(f"seed must lie in 0 .. {LARGEST_SEED - self.n}, got {self.seed}")
        if self.guidance is not None and not math.isfinite(self.guidance):
            raise UsageError(f"guidance must be a finite number, got {self.guidance}")
        if self.preview_every < 0:
            raise UsageError(f"preview_every must be at least 0, got {self.preview_every}")
        if self.deadline is not None and not self.deadline > 0:
            raise UsageError(f"a deadline is a number of seconds above 0, got {self.deadline}")
