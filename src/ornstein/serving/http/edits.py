"""OpenAI's image edits: fill in what a mask leaves clear, or redraw a picture in the direction of a prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, File, Form, UploadFile
from fastapi import Request as Asked
from fastapi.responses import Response
from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.measurements import Mask, Measurement
from ornstein.recipes.edit import sdedit
from ornstein.recipes.restore import restore
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.samplers.base import Step
from ornstein.serving.http import openai
from ornstein.serving.http.context import context, threaded
from ornstein.serving.http.errors import RESPONSES
from ornstein.serving.http.openai import ResponseFormat, answered, known, same_size, seed_of, worded
from ornstein.serving.http.words import Text
from ornstein.serving.pictures import Format, check, read, read_mask
from ornstein.serving.request import Request, Task
from ornstein.serving.words import given as conditions

router = APIRouter(prefix="/v1", tags=["OpenAI"], responses=RESPONSES)

Edit = Callable[[Callable[[Step], None]], Samples]


@router.post("/images/edits")
async def edits(
    asked: Asked,
    image: Annotated[
        UploadFile, File(description="a picture; it is cropped in the middle and resized to the model's size")
    ],
    prompt: Annotated[Text, Form()] = "",
    mask: Annotated[
        UploadFile | None, File(description="clear (or white) where to fill in; the rest stays as it is")
    ] = None,
    model: Annotated[Text | None, Form()] = None,
    n: Annotated[int, Form(ge=1)] = 1,
    size: Annotated[Text | None, Form()] = None,
    response_format: Annotated[ResponseFormat, Form()] = "b64_json",
    output_format: Annotated[Format, Form()] = "png",
    stream: Annotated[bool, Form()] = False,
    partial_images: Annotated[int, Form(ge=0, le=16)] = 0,
    quality: Annotated[Text | None, Form()] = None,
    background: Annotated[Text | None, Form()] = None,
    user: Annotated[Text | None, Form()] = None,
    seed: Annotated[int | None, Form()] = None,
    steps: Annotated[int | None, Form(ge=1)] = None,
    strength: Annotated[float, Form(gt=0, le=1, description="without a mask: how far to go from the picture")] = 0.5,
    guidance: Annotated[float | None, Form()] = None,
    label: Annotated[Text | None, Form()] = None,
) -> Response:
    """Pictures from a picture."""
    here = context(asked)
    pixels = here.limits.pixels
    content = await image.read()
    clear = None if mask is None else await mask.read()
    for part in (content, clear):  # the heads alone, before anything is put in line
        if part is not None:
            await threaded(check, part, pixels)
    wording = Request(known(here, model), prompt=worded(here, prompt) or None, label=label)
    request = Request(
        wording.model,
        n=n,
        seed=seed_of(seed),
        steps=steps,
        guidance=guidance,
        label=label,
        prompt=wording.prompt,
        preview_every=1 if stream and partial_images else 0,
        task=_task(content, clear, pixels, strength, wording, n, seed_of(seed), steps, guidance),
    )
    same_size(here, request.model, size)
    return await answered(
        asked, request, openai.Form("image_edit", output_format, response_format, partial_images), stream
    )


def _task(
    content: bytes,
    clear: bytes | None,
    pixels: int,
    strength: float,
    wording: Request,
    n: int,
    seed: int,
    steps: int | None,
    guidance: float | None,
) -> Task:
    """The edit, for the engine: the pictures are decoded when the model, and with it their size, is there."""

    def work(system: System, on_step: Callable[[Step], None]) -> Samples:
        shape = system.data_shape
        if len(shape) != 3:
            raise DataError(f"'{wording.model}' makes no pictures, so none can be edited with it")
        label = _label(system, wording)
        x = read(content, shape, pixels)[None]
        if clear is None:
            return sdedit(
                system, x, strength=strength, n=n, steps=steps or 50, seed=seed, guidance=guidance, label=label,
                on_step=on_step,
            )  # fmt: skip
        stays: Tensor = read_mask(clear, shape, pixels)
        return restore(
            system, Measurement(x * stays, Mask(stays)), n=n, steps=steps, seed=seed, guidance=guidance, label=label,
            on_step=on_step,
        )  # fmt: skip

    return work


def _label(system: System, wording: Request) -> str | int | None:
    """The class that the prompt names.

    Raises:
        UsageError: the model reads text, for which there is no edit yet.
    """
    named = conditions(system, wording)
    if "prompt" in named:
        raise UsageError("edits follow a class, and this model reads captions: leave the prompt empty")
    return named.get("label")
