"""Our own API: samples of every modality as jobs that are kept, with progress and previews as server-sent events."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi import Request as Asked
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, ValidationError

from ornstein.core.errors import UsageError
from ornstein.serving.http import sse
from ornstein.serving.http.context import Context, client, context, follow, threaded
from ornstein.serving.http.errors import RESPONSES, body
from ornstein.serving.http.openai import download, known, seed_of, worded
from ornstein.serving.http.words import Body, Text
from ornstein.serving.request import Request
from ornstein.serving.store import Entry

router = APIRouter(prefix="/v1/samples", tags=["samples"], responses=RESPONSES)


class Asking(Body):
    """``POST /v1/samples``: what ``System.sample`` takes, and how the job is to be treated."""

    model: Text | None = None
    n: int = Field(1, ge=1)
    seed: int | None = Field(None, ge=0)
    steps: int | None = Field(None, ge=1)
    sampler: Text | None = None
    grid: Text | None = None
    guidance: float | None = None
    guidance_method: Text | None = None
    label: Text | int | None = None
    prompt: Text | None = None
    priority: int = Field(0, ge=-100, le=0)
    """below 0: after others"""
    deadline: float | None = Field(None, gt=0)
    """seconds"""
    preview_every: int = Field(0, ge=0)
    """steps between two previews in the events"""


class JobBody(BaseModel):
    """A job as it is told."""

    id: str
    status: str
    progress: float
    error: str | None
    created: float
    ended: float | None
    request: dict[str, Any]
    results: list[str]
    """addresses of the files"""
    about: list[dict[str, Any]]
    """how each was made"""


def remake(who: str, fields: Mapping[str, Any]) -> Request:
    """The request that was written down.

    Raises:
        UsageError: it was written by another version.
    """
    try:
        given = Asking.model_validate({k: v for k, v in fields.items() if k not in _ADDED})
    except ValidationError as e:
        raise UsageError(f"the kept request is not understood: {e.errors()[0]['msg']}") from None
    return _request(given, str(given.model), given.seed or 0, who, int(fields.get("_priority", 0)))


_ADDED = ("_priority",)


def _request(given: Asking, model: str, seed: int, who: str, priority: int) -> Request:
    return Request(
        model,
        n=given.n,
        seed=seed,
        steps=given.steps,
        sampler=given.sampler,
        grid=given.grid,
        guidance=given.guidance,
        guidance_method=given.guidance_method,
        label=given.label,
        prompt=given.prompt or None,
        priority=priority,
        deadline=given.deadline,
        preview_every=given.preview_every,
        client=who,
    )


@router.post("", status_code=202, response_model=JobBody)
async def submit(
    asked: Asked,
    given: Asking,
    wait: Annotated[float, Query(ge=0, le=60, description="seconds to wait for the result before answering")] = 0.0,
    idempotency_key: Annotated[
        str | None, Header(max_length=200, description="the same again gets the same job")
    ] = None,
) -> Response:
    """A job. It goes on when the connection ends, and survives the end of the server."""
    here = context(asked)
    if given.prompt is not None:
        worded(here, given.prompt)
    request = _request(given, known(here, given.model), seed_of(given.seed), "", given.priority)
    request = here.checked(request, client(asked))
    fields = given.model_dump(exclude_none=True, exclude_defaults=True)
    fields |= {"model": request.model, "seed": request.seed, "_priority": request.priority}
    id = await threaded(here.book.submit, request, fields, idempotency_key)
    live = here.book.live(id)
    if wait and live is not None:
        await asyncio.wait([asyncio.wrap_future(live.written)], timeout=wait)
    return JSONResponse(await _told(asked, here, id), 202, {"Location": str(asked.url_for("job", id=id))})


@router.get("/{id}", name="job", response_model=JobBody)
async def job(asked: Asked, id: str) -> Response:
    """A job's state, and once it is done the addresses of its files."""
    here = context(asked)
    if await _owned(asked, here, id) is None:
        return _none()
    return JSONResponse(await _told(asked, here, id))


@router.get("/{id}/events", responses={200: {"content": {sse.MEDIA: {}}}}, response_class=Response)
async def events(asked: Asked, id: str) -> Response:
    """The present state, every step (with previews, where asked for), and the end. The job does not end with the connection."""
    here = context(asked)
    if await _owned(asked, here, id) is None:
        return _none()
    return sse.stream(_events(asked, here, id))


@router.get("/{id}/results/{place}", name="result", response_class=Response)
async def result(asked: Asked, id: str, place: int) -> Response:
    """One file: a PNG with its settings inside, or a NumPy array of data that are no pictures."""
    here = context(asked)
    if not 0 <= place < 2**31 or await _owned(asked, here, id) is None:
        return _none()
    return download(await threaded(here.book.store.result, id, place))


@router.delete("/{id}", response_model=JobBody)
async def cancel(asked: Asked, id: str) -> Response:
    """Stop a job, or say that it has ended."""
    here = context(asked)
    if await _owned(asked, here, id) is None:
        return _none()
    await threaded(here.book.cancel, id)
    live = here.book.live(id)
    if live is not None:
        await asyncio.wait([asyncio.wrap_future(live.written)], timeout=10)
    return JSONResponse(await _told(asked, here, id))


async def _events(asked: Asked, here: Context, id: str) -> AsyncIterator[bytes]:
    live = here.book.live(id)
    if live is not None:
        async for event in follow(live.job):
            if live.job.status.final and event.kind != "step":
                break
            shown = await here.previews(event, live.job.request)
            told = {
                "status": str(live.job.status),
                "step": event.step,
                "steps": event.steps,
                "progress": event.progress,
            }
            pictures = [base64.b64encode(content).decode() for content in shown]
            yield sse.event(event.kind, {**told, **({"first": event.first, "previews": pictures} if pictures else {})})
        await asyncio.wrap_future(live.written)
    end = await _told(asked, here, id)
    yield sse.event(end["status"], end)


async def _owned(asked: Asked, here: Context, id: str) -> Entry | None:
    """The job, if it is this client's."""
    entry = await threaded(here.book.store.get, id)
    return entry if entry is not None and entry.request and entry.client == client(asked).name else None


def _none() -> Response:
    return JSONResponse(body(404, "no such job; jobs are deleted some time after their end"), 404)


async def _told(asked: Asked, here: Context, id: str) -> dict[str, Any]:
    entry: Entry | None = await threaded(here.book.store.get, id)
    assert entry is not None
    live = here.book.live(id)
    about = await threaded(here.book.store.about, id)
    status = entry.status if live is None or entry.status.final or live.job.status.final else live.job.status
    return {
        "id": id,
        "status": str(status),
        "progress": 1.0 if entry.status == "done" else live.job.progress if live is not None else 0.0,
        "error": entry.error,
        "created": entry.created,
        "ended": entry.ended,
        "request": {k: v for k, v in entry.request.items() if k not in _ADDED},
        "results": [str(asked.url_for("result", id=id, place=i)) for i in range(len(about))],
        "about": about,
    }
