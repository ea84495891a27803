"""SIGTERM and Ctrl-C ask for a stop after the step; what was reached is saved."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Remembers the first signal that asked for a stop. A second Ctrl-C does not wait for the step to end."""

    def __init__(self) -> None:
        self.asked: str | None = None
        self.number = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked, self.number = signal.Signals(number).name, number

    @contextmanager
    def installed(self) -> Iterator[Stop]:
        """The handlers are ours inside this block."""
        try:
            old = {s: signal.signal(s, self) for s in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not the main thread: nobody sends us signals there
            old = {}
        try:
            yield self
        finally:
            for s, handler in old.items():
                signal.signal(s, handler)
