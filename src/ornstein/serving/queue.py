"""The waiting line: priorities first, then equal shares for clients, then deadlines."""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    r"""Start-time fair queueing within each priority: the client who has received least goes next.

    A client's clock advances by the cost of what it was given; one who comes back starts at the present, so that nobody saves
    up. Of one client's entries that with the nearest deadline is first, then the oldest. Not safe to share between threads:
    the engine holds its lock. Goyal, Vin & Cheng 1997 ("Start-time Fair Queuing").
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[int, str], list[tuple[float, int, float, T]]] = {}
        self._clocks: dict[tuple[int, str], float] = {}
        self._now: dict[int, float] = {}
        self._arrivals = itertools.count()

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __iter__(self) -> itertools.chain[T]:
        return itertools.chain.from_iterable([entry[-1] for entry in line] for line in self._lines.values())

    def push(
        self, item: T, *, client: str = "", priority: int = 0, deadline: float | None = None, cost: float = 1.0
    ) -> None:
        """Wait in line. ``deadline`` is on any clock, the same for all; ``cost`` in any unit, the same for all."""
        key = priority, client
        if key not in self._lines:
            self._lines[key] = []
            self._clocks[key] = max(self._clocks.get(key, 0.0), self._now.get(priority, 0.0))
        due = math.inf if deadline is None else deadline
        heapq.heappush(self._lines[key], (due, next(self._arrivals), cost, item))

    @property
    def priority(self) -> int | None:
        """The highest that waits."""
        return max((p for p, _ in self._lines), default=None)

    def pop(self) -> T | None:
        """Who is next, or None."""
        top = self.priority
        if top is None:
            return None
        key = min((k for k in self._lines if k[0] == top), key=lambda k: (self._clocks[k], self._lines[k][0]))
        line = self._lines[key]
        _, _, cost, item = heapq.heappop(line)
        self._now[top] = self._clocks[key]
        self._clocks[key] += cost
        if not line:
            del self._lines[key]
            self._forget(top)
        return item

    def _forget(self, priority: int) -> None:
        """Once nobody waits there, all have had what they wanted: the next busy time begins with equal clocks."""
        if not any(p == priority for p, _ in self._lines):
            self._clocks = {key: at for key, at in self._clocks.items() if key[0] != priority}
            self._now.pop(priority, None)

    def remove(self, item: T) -> bool:
        """Leave the line; whether it was there."""
        for key, line in self._lines.items():
            for i, entry in enumerate(line):
                if entry[-1] is item:
                    del line[i]
                    heapq.heapify(line)
                    if not line:
                        del self._lines[key]
                        self._forget(key[0])
                    return True
        return False
