"""What a check is: a paper's claim, the same claim at small scale, what is measured, and what must hold."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from ornstein.core.errors import OrnsteinError

Measured = Mapping[str, float]

_OPERATORS: dict[str, Callable[[float, float], bool]] = {"<": operator.lt, ">": operator.gt, "==": operator.eq}


@dataclass(frozen=True)
class Condition:
    """``measured[left]  op  factor * measured[right]``, or a number on the right. ``reason`` says why that number.

    ``on`` says what must hold: every seed, or the mean over seeds (for claims about averages whose seeds scatter).
    """

    left: str
    op: Literal["<", ">", "=="]
    right: str | float
    reason: str
    factor: float = 1.0
    on: Literal["each seed", "mean"] = "each seed"

    def __str__(self) -> str:
        right = f"{self.factor * self.right:g}" if not isinstance(self.right, str) else self.right
        if isinstance(self.right, str) and self.factor != 1:
            right = f"{self.factor:g} x {self.right}"
        return f"{self.left} {self.op} {right}"

    def bound(self, measured: Measured) -> float:
        """The right-hand side as a number."""
        return self.factor * (measured[self.right] if isinstance(self.right, str) else self.right)

    def holds(self, seeds: Sequence[Measured]) -> bool:
        """Whether it holds on every seed, or on their mean. A figure that is not a number never does."""
        rows = seeds if self.on == "each seed" else [mean(seeds)]
        return all(_OPERATORS[self.op](row[self.left], self.bound(row)) for row in rows)


@dataclass(frozen=True)
class Check:
    """How a recipe's central claim is tested at small scale.

    ``paper`` is the published claim with its figure, ``claim`` what is claimed here. ``measure(seed)`` does all the work of
    one seed and returns named figures; the conditions name them.
    """

    recipe: str
    paper: str
    claim: str
    conditions: tuple[Condition, ...]
    measure: Callable[[int], dict[str, float]]


def mean(seeds: Sequence[Measured]) -> dict[str, float]:
    """The mean of each figure over the seeds, which must all have the same names."""
    names = set(seeds[0])
    if any(set(row) != names for row in seeds):
        raise OrnsteinError(
            "the seeds of a check measured different things; measure() must always return the same names"
        )
    return {name: fmean(row[name] for row in seeds) for name in seeds[0]}
