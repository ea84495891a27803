"""OpenAI's image API: models, generations, edits; unfinished pictures as a stream.

What it has no word for (seed, steps, sampler, guidance, label) are further fields, which its clients pass in ``extra_body``.
"""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import APIRouter
from fastapi import Request as Asked
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from ornstein.core.errors import OrnsteinError, UsageError
from ornstein.serving.http import sse
from ornstein.serving.http.context import Context, client, context, follow, threaded
from ornstein.serving.http.errors import RESPONSES, answer, body
from ornstein.serving.http.words import Body, Text
from ornstein.serving.job import Job
from ornstein.serving.pictures import Format
from ornstein.serving.request import Request
from ornstein.serving.store import Result

router = APIRouter(prefix="/v1", tags=["OpenAI"], responses=RESPONSES)

ResponseFormat = Literal["b64_json", "url"]


class Generation(Body):
    """``POST /v1/images/generations``."""

    model: Text | None = None
    prompt: Text = ""
    """a caption, or words that name a class of the model"""
    n: int | None = Field(1, ge=1)
    size: Text | None = "auto"
    """"auto", or the model's own, such as "28x28": pictures are not enlarged"""
    response_format: ResponseFormat | None = "b64_json"
    output_format: Format | None = "png"
    output_compression: int | None = Field(None, ge=0, le=100)
    stream: bool | None = False
    partial_images: int | None = Field(0, ge=0, le=16)
    quality: Text | None = None
    style: Text | None = None
    background: Text | None = None
    moderation: Text | None = None
    user: Text | None = None
    seed: int | None = None
    """default: from the clock, and told in the answer"""
    steps: int | None = Field(None, ge=1)
    sampler: Text | None = None
    grid: Text | None = None
    guidance: float | None = None
    label: Text | int | None = None


@router.get("/models")
async def models(asked: Asked) -> dict[str, Any]:
    """The models that are served."""
    return {"object": "list", "data": [_model(context(asked), name) for name in context(asked).engine.models]}


@router.get("/models/{name}")
async def model(asked: Asked, name: str) -> Response:
    """One of them."""
    here = context(asked)
    if name not in here.engine.models:
        return JSONResponse(body(404, "no such model: see /v1/models", "model_not_found", "model"), 404)
    return JSONResponse(_model(here, name))


def _model(here: Context, name: str) -> dict[str, Any]:
    about = here.engine.describe(name)
    told: dict[str, Any] = {"id": name, "object": "model", "created": 0, "owned_by": "ornstein"}
    if about is not None:
        told["ornstein"] = {
            "recipe": about.recipe, "shape": about.shape, "classes": about.classes, "reads_text": about.reads_text,
            "sampler": about.sampler, "steps": about.steps, "guidance": about.guidance,
        }  # fmt: skip
    return told


@router.post("/images/generations")
async def generations(asked: Asked, given: Generation) -> Response:
    """Pictures from words."""
    here = context(asked)
    request = Request(
        known(here, given.model),
        n=given.n or 1,
        seed=seed_of(given.seed),
        steps=given.steps,
        sampler=given.sampler,
        grid=given.grid,
        guidance=given.guidance,
        label=given.label,
        prompt=worded(here, given.prompt) or None,
        preview_every=1 if given.stream and given.partial_images else 0,
    )
    same_size(here, request.model, given.size)
    form = Form(
        "image_generation", given.output_format or "png", given.response_format or "b64_json", given.partial_images or 0
    )
    return await answered(asked, request, form, bool(given.stream))


class Form:
    """How the answer is to look."""

    def __init__(self, what: str, format: Format, response: ResponseFormat, partial: int):
        self.what, self.format, self.response, self.partial = what, format, response, partial


async def answered(asked: Asked, request: Request, form: Form, stream: bool) -> Response:
    """The pictures, at once or as they come."""
    here = context(asked)
    if form.response == "url" and not here.jobs:
        raise UsageError("this server keeps no files: leave response_format out, and the pictures are in the answer")
    request = here.checked(request, client(asked))
    job = await here.submit(request)
    if stream:
        return sse.stream(_events(here, job, form))
    samples = await here.wait(job, asked)
    files = await here.files(samples, request, form.format)
    if form.response == "b64_json":
        data = [{"b64_json": base64.b64encode(f.content).decode()} for f in files]
    else:
        id = await threaded(here.book.keep_files, request.client, files)
        data = [{"url": str(asked.url_for("file", id=id, place=i))} for i in range(len(files))]
    return JSONResponse({"created": int(time.time()), **_about(here, request, form), "data": data})


async def _events(here: Context, job: Job, form: Form) -> AsyncIterator[bytes]:
    """Unfinished pictures of the first sample, then every finished one. The job ends with the connection."""
    request, sent = job.request, 0
    told = {"created_at": int(time.time()), **_about(here, request, form)}
    try:
        async for event in follow(job):
            due = event.steps > 0 and event.step * (form.partial + 1) >= (sent + 1) * event.steps
            if sent < form.partial and due and event.step < event.steps and event.first == 0:
                for content in (await here.previews(event, request, form.format))[:1]:
                    picture = {"b64_json": base64.b64encode(content).decode(), "partial_image_index": sent}
                    yield sse.event(
                        f"{form.what}.partial_image", {"type": f"{form.what}.partial_image", **picture, **told}
                    )
                    sent += 1
        for file in await here.files(job.result(0), request, form.format):
            picture = {"b64_json": base64.b64encode(file.content).decode()}
            yield sse.event(f"{form.what}.completed", {"type": f"{form.what}.completed", **picture, **told, **_usage()})
    except OrnsteinError as error:
        yield sse.event("error", answer(error)[1])
    finally:
        job.cancel()


def _about(here: Context, request: Request, form: Form) -> dict[str, Any]:
    about = here.engine.describe(request.model)
    size = "auto" if about is None or len(about.shape) != 3 else f"{about.shape[2]}x{about.shape[1]}"
    told = {"background": "opaque", "output_format": form.format, "quality": "auto", "size": size}
    return {**told, "ornstein": {"model": request.model, "seed": request.seed}}


def _usage() -> dict[str, Any]:
    """Nothing is charged for, and so nothing counted, but clients expect the field."""
    none = {"image_tokens": 0, "text_tokens": 0}
    return {"usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "input_tokens_details": none}}


@router.get("/files/{id}/{place}", name="file", response_class=Response)
async def file(asked: Asked, id: str, place: int) -> Response:
    """A picture by the address that an answer gave; whoever has the address may read it, while it is kept."""
    found = None
    if 0 <= place < 2**31:
        found = await threaded(context(asked).book.store.result, id, place)
    return download(found)


def download(found: Result | None) -> Response:
    """A file, or that there is none."""
    if found is None:
        return JSONResponse(body(404, "no such file; files are deleted some time after they were made"), 404)
    return Response(found.content, media_type=found.media, headers={"Cache-Control": "private, max-age=3600"})


def known(here: Context, name: str | None) -> str:
    """The model that is meant.

    Raises:
        UsageError: it is not served.
    """
    here.engine.describe(name or here.default)
    return name or here.default


def worded(here: Context, text: str) -> str:
    """The text, unless it is too long.

    Raises:
        UsageError: it is.
    """
    if len(text) > here.limits.text:
        raise UsageError(f"the prompt has {len(text)} characters; this server takes at most {here.limits.text}")
    return text.strip()


def seed_of(given: int | None) -> int:
    """The seed, or one that nobody has asked for."""
    return time.time_ns() % 2**31 if given is None else given


def same_size(here: Context, model: str, size: str | None) -> None:
    """Refuse a size that the model does not make.

    Raises:
        UsageError: with the size that it makes.
    """
    about = here.engine.describe(model)
    if size in (None, "", "auto") or about is None or len(about.shape) != 3:
        return
    own = f"{about.shape[2]}x{about.shape[1]}"
    if size != own:
        raise UsageError(
            f"'{model}' makes pictures of {own}, not {size[:20] if size else ''}: leave size out, or give 'auto'"
        )
