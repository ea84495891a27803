"""A word of advice when threads wait for one another because other work holds the cores."""

from __future__ import annotations

import os
import sys
import time

AFTER = 20.0
"""Seconds that are watched first: a start (imports, first allocations) says nothing."""

SHARE = 0.7
"""Of the time that its threads could have had; below it the cores are shared."""


class Crowding:
    """Watches how much processor time this process gets for its threads.

    Two threads that share the work of a convolution meet at its end. When another process holds one of the cores, one
    thread spins while the other waits for a turn: measured here, two threads on one free core take 5 to 12 times as
    long as one thread does.
    """

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()
        self._said = False

    def advice(self) -> str | None:
        """What to do, once, when the threads get less than :data:`SHARE` of their time and the machine is overbooked."""
        wall = time.monotonic() - self._wall
        torch = sys.modules.get("torch")
        if self._said or wall < AFTER or torch is None or torch.cuda.is_initialized():
            return None
        threads = torch.get_num_threads()
        got = (time.process_time() - self._cpu) / wall
        if threads < 2 or got > SHARE * threads or _load() < (os.cpu_count() or 1) + 0.5:
            return None
        self._said = True
        return (
            f"warning: {threads} threads get the time of {got:.1f} cores, because other work runs on this machine. "
            "Threads that wait for one another lose far more than that: with OMP_NUM_THREADS=1 in front of the command "
            "it may be several times quicker"
        )


def _load() -> float:
    """Processes that want to run, averaged over the last minute; 0 where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows has no such call
        return 0.0
