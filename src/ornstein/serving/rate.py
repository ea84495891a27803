"""How quickly samples come out, for those who must come back later."""

from __future__ import annotations

import threading
import time
from collections import deque

_WINDOW = 30.0


class Rate:
    """Samples per second over the last half minute. Safe to share between threads."""

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, int]] = deque(maxlen=1024)

    def add(self, samples: int) -> None:
        """So many are done."""
        with self._lock:
            self.total += samples
            self._recent.append((time.monotonic(), samples))

    def seconds(self, samples: int) -> float:
        """An estimate of how long so many will take, between 1 and 60."""
        now = time.monotonic()
        with self._lock:
            recent = [(at, n) for at, n in self._recent if now - at < _WINDOW]
        if not recent:
            return 1.0
        rate = sum(n for _, n in recent) / max(now - recent[0][0], 0.1)
        return min(max(samples / rate, 1.0), 60.0)
