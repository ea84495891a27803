"""How often a client may ask."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_CLIENTS = 10_000


class Buckets:
    """A token bucket for each client: ``rate`` tokens a minute, as many as those of ten seconds (at least one) saved up.

    Safe to share between threads. Of those who have not asked for longest the buckets are forgotten; they would be full.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, rate: float | None) -> float:
        """Take a token: 0 if there was one, else the seconds until there will be."""
        if rate is None:
            return 0.0
        most, each = max(1.0, rate / 6), 60 / rate
        with self._lock:
            now = self._clock()
            tokens, at = self._buckets.pop(client, (most, now))
            tokens = min(most, tokens + (now - at) / each)
            wait = 0.0 if tokens >= 1 else (1 - tokens) * each
            self._buckets[client] = tokens if wait else tokens - 1, now
            if len(self._buckets) > _CLIENTS:
                self._buckets.popitem(last=False)
            return wait
