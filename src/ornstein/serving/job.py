"""A request on its way: status, progress, events, result."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from torch import Tensor

from ornstein.core.errors import OrnsteinError
from ornstein.recipes.samples import Samples
from ornstein.serving.errors import DeadlinePassed, Defect, JobCancelled
from ornstein.serving.request import Request


class Status(StrEnum):
    """Where a job is; the last four are final."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def final(self) -> bool:
        """Whether nothing will follow."""
        return self not in (Status.WAITING, Status.RUNNING)


@dataclass(frozen=True)
class Event:
    """Something that happened to a job: ``kind`` is "step", or the status that it came to."""

    kind: str
    step: int
    steps: int
    preview: Tensor | None = None
    """decoded E[x_0] of some samples, ``[k, C, H, W]`` in [-1, 1] for images"""
    first: int = 0
    """which sample of the job the first row of ``preview`` is"""
    progress: float = 0.0
    """of the whole job, in [0, 1]"""


class Job:
    """What :meth:`ornstein.serving.Engine.submit` returns. Safe to use from any thread."""

    def __init__(
        self,
        request: Request,
        id: str | None = None,
        on_cancel: Callable[[Job], None] | None = None,
        on_end: Callable[[Job], None] | None = None,
    ):
        self.id = id or uuid.uuid4().hex
        self.request = request
        self.submitted = time.monotonic()
        self.expires = None if request.deadline is None else self.submitted + request.deadline
        self.seconds: float | None = None
        """from submission to the end, once there"""
        self._on_cancel, self._on_end = on_cancel, on_end
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._listeners: list[Callable[[Event], None]] = []
        self._status = Status.WAITING
        self._cancelled = False
        self._at = Event("", 0, request.steps or 0)
        self._samples: Samples | None = None
        self._error: Exception | None = None

    @property
    def status(self) -> Status:
        """Where it is."""
        return self._status

    @property
    def progress(self) -> float:
        """How much of it is done, in [0, 1]."""
        return self._at.progress

    @property
    def error(self) -> Exception | None:
        """Why there is no result, once that is certain."""
        return self._error

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancelled

    def cancel(self) -> None:
        """Stop before the next step; nothing happens to a job that has ended."""
        self._cancelled = True
        if self._on_cancel is not None:
            self._on_cancel(self)

    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``listener`` with the present state and then every event, from the engine's thread; returns how to stop.

        A listener must be quick and not raise: hand the event on to a queue.
        """
        with self._lock:
            listener(replace(self._at, kind=str(self._status)))
            if not self._status.final:
                self._listeners.append(listener)

        def stop() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return stop

    def events(self) -> Iterator[Event]:
        """The present state, then every event until the final one."""
        box: queue.SimpleQueue[Event] = queue.SimpleQueue()
        stop = self.listen(box.put)
        try:
            while True:
                event = box.get()
                yield event
                if event.kind in _FINAL:
                    return
        finally:
            stop()

    def result(self, timeout: float | None = None) -> Samples:
        """The samples, waited for.

        Raises:
            TimeoutError: they are not there after ``timeout`` seconds; the job goes on.
            JobCancelled, DeadlinePassed: there will be none.
            OrnsteinError: what is wrong with the request, as ``System.sample`` says it.
        """
        if not self._ended.wait(timeout):
            raise TimeoutError(f"job {self.id} is {self.status} after {timeout:g} s ({self.progress:.0%} done)")
        if self._error is not None:
            raise self._error
        assert self._samples is not None
        return self._samples

    # What follows is the engine's.

    def started(self) -> None:
        """It runs."""
        with self._lock:
            if self._status is not Status.WAITING:
                return
            self._status = Status.RUNNING
        self._tell(replace(self._at, kind="running"))

    def stepped(self, event: Event) -> None:
        """A step was made."""
        self._at = replace(event, preview=None)
        self._tell(event)

    def finished(self, samples: Samples) -> None:
        """It is done."""
        self._end(Status.DONE, samples, None)

    def failed(self, error: Exception) -> None:
        """There will be no result."""
        kinds: dict[type[Exception], Status] = {JobCancelled: Status.CANCELLED, DeadlinePassed: Status.EXPIRED}
        told = error if isinstance(error, OrnsteinError) else _defect(error)
        self._end(kinds.get(type(error), Status.FAILED), None, told)

    def _end(self, status: Status, samples: Samples | None, error: Exception | None) -> None:
        """The first who says how it ended is believed: a job may be cancelled while it lands."""
        with self._lock:
            if self._status.final:
                return
            self.seconds = time.monotonic() - self.submitted
            self._samples, self._error, self._status = samples, error, status
            if samples is not None:
                self._at = replace(self._at, progress=1.0)
            listeners, self._listeners = self._listeners, []
        if self._on_end is not None:
            self._on_end(self)
        self._ended.set()
        for listener in listeners:
            listener(replace(self._at, kind=str(status)))

    def _tell(self, event: Event) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(event)


def _defect(error: Exception) -> Defect:
    """An error that is not the user's, with its cause."""
    told = Defect(f"the computation failed: {type(error).__name__}: {error}")
    told.__cause__ = error
    return told


_FINAL = frozenset(str(s) for s in Status if s.final)
