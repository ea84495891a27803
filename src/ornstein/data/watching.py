"""What a fetch is doing, told to whoever watches: phases that take long, and the folder that fills meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

Watch = Callable[[str, Path], None]

_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Inside this block ``watch(phase, folder)`` is called at the beginning of each phase of a fetch."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def doing(phase: str, folder: Path) -> None:
    """Tell that a phase begins, whose files come into ``folder``."""
    watch = _watch.get()
    if watch is not None:
        watch(phase, folder)
