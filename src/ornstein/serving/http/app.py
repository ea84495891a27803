"""The application: routes, guard and errors around one engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from ornstein import __version__
from ornstein.serving.book import Book
from ornstein.serving.engine import Engine
from ornstein.serving.hooks import Hook
from ornstein.serving.http import edits, errors, health, openai, samples, sdapi
from ornstein.serving.http.context import Context, threaded
from ornstein.serving.http.guard import Guard
from ornstein.serving.http.metrics import Metrics
from ornstein.serving.keys import Keys
from ornstein.serving.request import Request
from ornstein.serving.settings import Limits
from ornstein.serving.store import Store


def create_app(
    engine: Engine,
    *,
    store: Store | None = None,
    keys: Keys | None = None,
    limits: Limits | None = None,
    hooks: Sequence[Hook] = (),
    origins: Sequence[str] = (),
    drain: float = 30.0,
    jobs: bool = True,
) -> FastAPI:
    """The server's application. It starts the engine, and closes it when it ends.

    Args:
        engine: not started yet.
        store: where jobs are kept; a temporary file by default.
        keys: who may ask; None is anyone.
        limits: the most that one request may ask for.
        hooks: what sees every request and every picture, in order: marks, filters, audit.
        origins: web pages that may call from a browser; none by default.
        drain: seconds to finish what was taken, when the server ends.
        jobs: whether to offer what is fetched by a later request: jobs, and pictures by address. Not where that request may
            come to another process.
    """
    limits = limits or Limits()
    metrics = Metrics(engine)
    book = Book(engine, store or Store(), hooks)
    default = engine.models[0]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine.start()
        book.resume(samples.remake)
        warm = engine.submit(Request(default, steps=1, priority=1))
        app.state.warm = warm
        yield
        await threaded(book.close, True, drain)

    app = FastAPI(
        title="Ornstein", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        description="Samples of diffusion models: OpenAI's image API, jobs for every modality, Stable Diffusion web UI's API.",
    )  # fmt: skip
    app.state.ornstein = Context(engine, book, limits, tuple(hooks), default, metrics.made, jobs)
    app.state.metrics = metrics
    app.state.checkpoints = {}
    for part in (openai, edits, *((samples,) if jobs else ()), sdapi, health):
        app.include_router(part.router)
    errors.install(app)
    app.add_middleware(Guard, keys=keys, limits=limits, metrics=metrics)
    if origins:  # outermost: browsers ask whether they may before they show a key
        app.add_middleware(
            CORSMiddleware, allow_origins=list(origins), allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "idempotency-key"],
        )  # fmt: skip
    return app
