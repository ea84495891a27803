"""The engine: one thread that moves all requests a step at a time, together where they can be."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

from ornstein.core.errors import UsageError
from ornstein.samplers.grids import get_grid
from ornstein.samplers.table import get
from ornstein.serving.errors import EngineClosed, JobCancelled, QueueFull
from ornstein.serving.job import Job, Status
from ornstein.serving.models import Described, Loader, Models
from ornstein.serving.queue import FairQueue
from ornstein.serving.rate import Rate
from ornstein.serving.request import Request
from ornstein.serving.work import Part, Worker


@dataclass(frozen=True)
class Stats:
    """What an engine is doing and has done."""

    waiting: int
    """samples in the queue"""
    running: int
    """samples on their way"""
    jobs: Mapping[str, int]
    """ended jobs by status"""
    samples: int
    """made in all"""
    calls: int
    """of networks"""
    rows: int
    """of all these calls"""
    loaded: tuple[str, ...]
    bytes: int
    """of the loaded weights"""
    loads: int
    """how often a model was loaded"""


class Engine:
    """Serves several models to many callers; sample i of a request is that of ``System.sample``, whatever else runs.

    ``with Engine({"mine": loader("runs/mine")}) as engine: engine.submit(Request("mine")).result()``.

    Args:
        models: loaders by the name that requests use.
        memory_limit: bytes of weights to keep loaded; None is no limit.
        max_batch: samples that move together, and rows of one network call.
        queue_limit: samples that may wait; what would be more is refused with :class:`QueueFull`.
        device: where to compute.
    """

    def __init__(
        self,
        models: Mapping[str, Loader],
        *,
        memory_limit: int | None = None,
        max_batch: int = 32,
        queue_limit: int = 1024,
        device: str = "cpu",
    ):
        for name, value in (("max_batch", max_batch), ("queue_limit", queue_limit)):
            if value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")
        self.max_batch, self.queue_limit = max_batch, queue_limit
        self._part = max(1, max_batch // 2)
        self._changed = threading.Condition()
        self._queue: FairQueue[Part] = FairQueue()
        self._jobs: set[Job] = set()
        self._ended: Counter[str] = Counter()
        self._closing = False
        self.stopping = False
        """whether what was taken is being cancelled because the engine closes"""
        self._thread: threading.Thread | None = None
        self._rate = Rate()
        self._models = Models(models, memory_limit, max_batch, device, self._wake)
        self._worker = Worker(self._models, self._queue, self._changed, max_batch)

    @property
    def models(self) -> tuple[str, ...]:
        """The names that requests may use."""
        return tuple(self._models.loaders)

    def describe(self, name: str) -> Described | None:
        """What is known of a model; None before it was first loaded.

        Raises:
            UsageError: no such model.
        """
        self._models.require(name)
        return self._models.described.get(name)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def closing(self) -> bool:
        """Whether it takes no more requests."""
        return self._closing

    def start(self) -> Engine:
        """Begin to serve; what was submitted before is served first."""
        if self._thread is not None:
            raise UsageError("the engine was started already")
        self._thread = threading.Thread(target=self._worker.run, name="ornstein-engine", daemon=True)
        self._thread.start()
        return self

    def submit(self, request: Request, id: str | None = None) -> Job:
        """Put a request in line.

        Raises:
            UsageError: no such model, sampler or grid; or more samples than the queue takes.
            QueueFull: come back later.
            EngineClosed: the engine is closing.
        """
        self._models.require(request.model)
        if request.sampler is not None:
            get(request.sampler)
        if request.grid is not None:
            get_grid(request.grid)
        if request.n > self.queue_limit:
            raise UsageError(f"{request.n} samples were asked for in one request; at most {self.queue_limit} are taken")
        job = Job(request, id, self._cancel, self._end)
        size = request.n if request.task is not None else self._part
        with self._changed:
            if self._closing:
                raise EngineClosed("the engine is closing and takes no more requests")
            waiting = self._waiting()
            if waiting + request.n > self.queue_limit:
                raise QueueFull(waiting, self._rate.seconds(waiting))
            self._jobs.add(job)
            for first in range(0, request.n, size):
                rows = min(size, request.n - first)
                self._queue.push(
                    Part(job, first, rows),
                    client=request.client,
                    priority=request.priority,
                    deadline=job.expires,
                    cost=rows * (request.steps or 1),
                )
            self._changed.notify_all()
        return job

    def stats(self) -> Stats:
        """What it is doing and has done, at this moment."""
        with self._changed:
            loaded = list(self._models.loaded.values())
            return Stats(
                waiting=self._waiting(),
                running=self._worker.rows,
                jobs=dict(self._ended),
                samples=self._rate.total,
                calls=self._models.past_calls + sum(m.meeting.calls for m in loaded),
                rows=self._models.past_rows + sum(m.meeting.rows for m in loaded),
                loaded=tuple(m.name for m in loaded),
                bytes=self._models.bytes,
                loads=self._models.loads,
            )

    def close(self, drain: bool = True, timeout: float | None = None) -> None:
        """Take no more requests and stop: after all that were taken are done (``drain``), or at once, cancelling them.

        ``timeout``: seconds after which what is not done is cancelled.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if not drain or self._thread is None:
            self._cancel_all()
        self._worker.close()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                self._cancel_all()
                self._thread.join()

    def __enter__(self) -> Engine:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(drain=kind is None)

    def _waiting(self) -> int:
        return sum(part.rows for part in self._queue)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _cancel_all(self) -> None:
        self.stopping = True
        for job in list(self._jobs):
            job.cancel()

    def _cancel(self, job: Job) -> None:
        """A job that nothing has been done for ends here; others before their next step."""
        with self._changed:
            waiting = [part for part in self._queue if part.job is job]
            for part in waiting:
                self._queue.remove(part)
            self._changed.notify_all()
        if waiting and job.status is Status.WAITING:
            job.failed(JobCancelled("the job was cancelled"))

    def _end(self, job: Job) -> None:
        """A job has ended, however."""
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
                self._ended[str(job.status)] += 1
        if job.status is Status.DONE:
            self._rate.add(job.request.n)
