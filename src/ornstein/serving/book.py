"""Jobs that outlive the connection they came by, and the process: written down before they run, and with their results after."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ornstein.core.errors import OrnsteinError
from ornstein.serving.engine import Engine
from ornstein.serving.errors import EngineClosed, QueueFull
from ornstein.serving.hooks import Hook
from ornstein.serving.job import Event, Job, Status
from ornstein.serving.pictures import results
from ornstein.serving.request import Request
from ornstein.serving.store import Result, Store

MOST_ATTEMPTS = 3
"""A job during which the process ended so often is not tried again: it may be the reason."""
_RETRY = 0.2
_PRUNE_EVERY = 256

Remake = Callable[[str, Mapping[str, Any]], Request]
"""The request of a client from the fields that were written down."""


@dataclass(eq=False)
class Live:
    """A job of this process; ``written`` is there once its end and its results are in the store."""

    job: Job
    written: Future[None] = field(default_factory=Future)


class Book:
    """The engine's jobs that are kept in a store.

    A job is written down before it is put in line; its end and its results are written at once. So after a kill those that
    have ended are there, and :meth:`resume` runs the others again, from their seeds: none is lost, and none that has a result
    is run twice. ``keep``: seconds after its end when a job is deleted.
    """

    def __init__(self, engine: Engine, store: Store, hooks: Sequence[Hook] = (), keep: float = 86_400.0):
        self.engine, self.store, self.hooks, self.keep = engine, store, tuple(hooks), keep
        self._live: dict[str, Live] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._writer = ThreadPoolExecutor(2, "ornstein-results")
        self._resuming: threading.Thread | None = None
        self._written = 0

    def submit(self, request: Request, fields: Mapping[str, Any], token: str | None = None) -> str:
        """Keep a request and put it in line; its id. ``fields`` are what :meth:`resume` makes it from again.

        ``token``: a client that asks twice with the same gets the first job.

        Raises:
            UsageError, QueueFull, EngineClosed: as ``Engine.submit``; nothing is kept then.
        """
        new = uuid.uuid4().hex
        id = self.store.add(new, request.client, fields, token)
        if id == new:
            try:
                self._run(id, request)
            except OrnsteinError:
                self.store.forget(id)
                raise
        return id

    def keep_files(self, client: str, files: Sequence[Result]) -> str:
        """Keep files that were made without a job; the id under which they are found."""
        id = self.store.add(uuid.uuid4().hex, client, {})
        self.store.finish(id, Status.DONE, None, files)
        return id

    def live(self, id: str) -> Live | None:
        """The job, if this process has it."""
        with self._lock:
            return self._live.get(id)

    def cancel(self, id: str) -> None:
        """Stop a job; nothing happens to one that has ended."""
        live = self.live(id)
        if live is None:
            self.store.finish(id, Status.CANCELLED, "the job was cancelled")
        else:
            live.job.cancel()

    def resume(self, remake: Remake) -> None:
        """Run again what had not ended when the process did, as there is room in the queue. Returns at once."""
        self._resuming = threading.Thread(target=self._resume, args=(remake,), name="ornstein-resume", daemon=True)
        self._resuming.start()

    def close(self, drain: bool = True, timeout: float | None = None) -> None:
        """Close the engine. What it does not finish in time stays in the store, for the next start."""
        self._closing.set()
        self.engine.close(drain, timeout)
        if self._resuming is not None:
            self._resuming.join()
        self._writer.shutdown()
        self.store.close()

    def _run(self, id: str, request: Request) -> None:
        job = self.engine.submit(request, id)
        live = Live(job)
        with self._lock:
            self._live[id] = live

        def follow(event: Event) -> None:  # in the engine's thread: the work is done elsewhere
            if event.kind == "running":
                self._writer.submit(self.store.attempt, id)
            elif job.status.final:
                self._writer.submit(self._end, live)

        job.listen(follow)

    def _end(self, live: Live) -> None:
        job = live.job
        try:
            if job.status is Status.DONE:
                self.store.finish(
                    job.id, Status.DONE, None, results(job.result(), job.request, job.request.client, self.hooks)
                )
            elif not self.engine.stopping:  # those stay as they are, for the next start
                self.store.finish(job.id, job.status, str(job.error))
        except Exception as error:  # a hook, the encoder, or the disk
            self.store.finish(job.id, Status.FAILED, str(error))
        finally:
            with self._lock:
                self._live.pop(job.id, None)
                self._written += 1
                prune = self._written % _PRUNE_EVERY == 1
            live.written.set_result(None)
        if prune:
            self.store.prune(self.keep)

    def _resume(self, remake: Remake) -> None:
        for entry in self.store.unfinished():
            if self.live(entry.id) is not None:  # it came by after the start
                continue
            if entry.attempts >= MOST_ATTEMPTS:
                why = f"the server ended {entry.attempts} times while it computed this job"
                self.store.finish(entry.id, Status.FAILED, why)
                continue
            try:
                request = remake(entry.client, entry.request)
                while not self._closing.is_set():
                    now = self.store.get(entry.id)
                    if now is None or now.ended is not None:  # cancelled meanwhile
                        break
                    try:
                        self._run(entry.id, request)
                        break
                    except QueueFull:
                        self._closing.wait(_RETRY)
            except EngineClosed:
                return
            except OrnsteinError as error:
                self.store.finish(entry.id, Status.FAILED, str(error))
