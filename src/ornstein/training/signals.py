"""SIGTERM and Ctrl-C: a run that can save stops after its step; a measurement, which cannot, ends at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], object]


@contextmanager
def handled(handler: Handler) -> Iterator[dict[int, Any]]:
    """Inside the block both signals come to ``handler``; gives the handlers that stood before."""
    before: dict[int, Any] = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, handler)
    except ValueError:  # not the main thread: nobody sends us signals there
        pass
    try:
        yield before
    finally:
        for which, old in before.items():
            signal.signal(which, old)


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
        """The handlers are ours inside this block. What a program around it had installed hears of the signal afterwards."""
        with handled(self) as before:
            yield self
        outer = before.get(self.number)
        if callable(outer) and outer is not signal.default_int_handler:
            outer(self.number, None)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and Ctrl-C end the block with KeyboardInterrupt, a training inside that saved what it had reached included.

    For work that counts only as a whole: what comes after a training that was cut short would be measured on a part of it.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with handled(end):
        yield
