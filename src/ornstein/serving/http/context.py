"""What the routes share: the engine, the limits, the hooks, and how a request becomes an answer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from fastapi import Request as Asked
from fastapi.concurrency import run_in_threadpool

from ornstein.core.errors import UsageError
from ornstein.recipes.samples import Samples
from ornstein.serving import hooks as hooks_
from ornstein.serving.book import Book
from ornstein.serving.engine import Engine
from ornstein.serving.errors import JobCancelled
from ornstein.serving.hooks import Hook
from ornstein.serving.job import Event, Job
from ornstein.serving.keys import ANYONE, Client
from ornstein.serving.pictures import Format, previews, results
from ornstein.serving.request import Request
from ornstein.serving.settings import Limits
from ornstein.serving.store import Result

T = TypeVar("T")


@dataclass
class Context:
    """One server."""

    engine: Engine
    book: Book
    limits: Limits
    hooks: tuple[Hook, ...]
    default: str
    """the model of requests that name none"""
    made: Callable[[int], None]
    """told how many samples left"""
    jobs: bool = True
    """whether a later request comes to this process too, so that it can fetch what was kept"""

    def checked(self, request: Request, client: Client) -> Request:
        """The request as the engine takes it: within the limits, allowed by the hooks, with the client's priority.

        Raises:
            UsageError: above a limit.
            Refused: a hook does not allow it.
        """
        limits = self.limits if client.samples is None else replace(self.limits, samples=client.samples)
        about = self.engine.describe(request.model)
        pixels = math.prod(about.shape[1:]) if about is not None and len(about.shape) == 3 else None
        limits.check(request, pixels)
        if request.steps is None and request.task is None and about is not None and about.steps > limits.steps:
            raise UsageError(
                f"'{request.model}' takes {about.steps} steps by itself, above this server's limit of {limits.steps}: give steps"
            )
        deadline = min(request.deadline or limits.seconds, limits.seconds)
        request = replace(
            request, client=client.name, priority=client.priority + min(request.priority, 0), deadline=deadline
        )
        hooks_.before(self.hooks, request, client.name)
        return request

    async def submit(self, request: Request) -> Job:
        """In line, without a record: for answers that go out by the connection that the request came by."""
        return await threaded(self.engine.submit, request)

    async def wait(self, job: Job, asked: Asked) -> Samples:
        """The result; the job is cancelled if the client goes away.

        Raises:
            OrnsteinError: why there is none.
        """
        ended = asyncio.create_task(_end(job))
        gone = asyncio.create_task(_gone(asked))
        try:
            await asyncio.wait({ended, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not job.status.final:
                raise JobCancelled("the client went away")
            return job.result(0)
        finally:
            for task in (ended, gone):
                task.cancel()
            job.cancel()  # nothing, where it is done

    async def files(self, samples: Samples, request: Request, format: Format = "png") -> list[Result]:
        """The files of a result, seen by the hooks."""
        made = await threaded(results, samples, request, request.client, self.hooks, format)
        self.made(len(made))
        return made

    async def previews(self, event: Event, request: Request, format: Format = "png") -> list[bytes]:
        """The pictures of an event."""
        if event.preview is None:
            return []
        return await threaded(previews, event.preview, request, request.client, self.hooks, format)


async def _end(job: Job) -> None:
    """Until the job has ended; nothing is done at its steps."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def tell(event: Event) -> None:
        if job.status.final:
            loop.call_soon_threadsafe(ended.set)

    stop = job.listen(tell)
    try:
        await ended.wait()
    finally:
        stop()


async def _gone(asked: Asked) -> None:
    """Until the client has closed the connection; its request has been read."""
    while (await asked.receive())["type"] != "http.disconnect":
        pass


async def follow(job: Job) -> AsyncIterator[Event]:
    """A job's events, to the last. Whoever stops listening early decides what becomes of the job."""
    loop = asyncio.get_running_loop()
    box: asyncio.Queue[Event] = asyncio.Queue()

    def tell(event: Event) -> None:
        loop.call_soon_threadsafe(box.put_nowait, event)

    stop = job.listen(tell)
    try:
        while True:
            event = await box.get()
            yield event
            if event.kind != "step" and job.status.final:
                return
    finally:
        stop()


async def threaded(work: Callable[..., T], *args: object) -> T:
    """Run in a thread of the server's pool."""
    return await run_in_threadpool(partial(work, *args))


def context(asked: Asked) -> Context:
    """The server that a request came to."""
    found = asked.app.state.ornstein
    assert isinstance(found, Context)
    return found


def client(asked: Asked) -> Client:
    """Who asks; the guard has found out."""
    found = asked.scope.get("ornstein.client", ANYONE)
    assert isinstance(found, Client)
    return found
