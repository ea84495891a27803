"""The convention of Stable Diffusion web UI: ``txt2img``, ``options`` and the lists that its clients ask for first."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

from fastapi import APIRouter
from fastapi import Request as Asked
from fastapi.responses import JSONResponse, Response
from pydantic import ConfigDict, Field

from ornstein.core.errors import UsageError
from ornstein.recipes.samples import parameters_line
from ornstein.samplers.grids import GRIDS
from ornstein.samplers.table import names
from ornstein.serving.http.context import client, context
from ornstein.serving.http.errors import RESPONSES
from ornstein.serving.http.openai import known, worded
from ornstein.serving.http.words import Body, Text
from ornstein.serving.request import Request

router = APIRouter(prefix="/sdapi/v1", tags=["Stable Diffusion web UI"], responses=RESPONSES)

_AUTOMATIC = frozenset({"", "automatic"})


class TextToImage(Body):
    """``POST /sdapi/v1/txt2img``. Its clients send dozens of fields; those that are not here change nothing and are ignored,
    but for the ones that would change the picture, which are refused. Pictures have the model's size."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, protected_namespaces=())

    prompt: Text = ""
    negative_prompt: Text = ""
    seed: int = -1
    steps: int | None = Field(None, ge=1)
    cfg_scale: float | None = None
    sampler_name: Text | None = None
    sampler_index: Text | None = None
    scheduler: Text | None = None
    batch_size: int = Field(1, ge=1)
    n_iter: int = Field(1, ge=1)
    override_settings: dict[Text, Any] = {}
    enable_hr: bool = False
    tiling: bool = False
    subseed_strength: float = 0.0
    send_images: bool = True


class Options(Body):
    """``POST /sdapi/v1/options``: of the many, the one that says which model is meant."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    sd_model_checkpoint: Text | None = None


@router.post("/txt2img")
async def txt2img(asked: Asked, given: TextToImage) -> Response:
    """Pictures from words, base64 without a prefix, as that convention has it."""
    here = context(asked)
    for name, value in (("enable_hr", given.enable_hr), ("tiling", given.tiling), ("subseed", given.subseed_strength)):
        if value:
            raise UsageError(f"{name} is not served: leave it out")
    chosen = given.override_settings.get("sd_model_checkpoint") or asked.app.state.checkpoints.get(client(asked).name)
    model = known(here, chosen if chosen is None else _title(str(chosen)))
    about = here.engine.describe(model)
    sampler = given.sampler_name or given.sampler_index
    grid = (given.scheduler or "").strip().lower().replace(" ", "_")
    if given.negative_prompt.strip() and about is not None and not about.reads_text:
        raise UsageError("this model reads no text: leave negative_prompt empty")
    seed = random.randrange(2**31) if given.seed == -1 else given.seed
    worded(here, given.negative_prompt)
    request = Request(
        model,
        n=min(given.batch_size * given.n_iter, 2**62),
        seed=seed,
        steps=given.steps,
        sampler=None if (sampler or "").strip().lower() in _AUTOMATIC else sampler,
        grid=None if grid in _AUTOMATIC else grid,
        guidance=given.cfg_scale,
        prompt=worded(here, given.prompt) or None,
        conditions={"negative": given.negative_prompt} if given.negative_prompt.strip() else {},
    )
    request = here.checked(request, client(asked))
    samples = await here.wait(await here.submit(request), asked)
    files = await here.files(samples, request)
    info = {
        "prompt": given.prompt,
        "all_prompts": [given.prompt] * len(files),
        "negative_prompt": given.negative_prompt,
        "seed": seed,
        "all_seeds": samples.seeds,
        "steps": samples.provenance.get("steps"),
        "cfg_scale": samples.provenance.get("guidance"),
        "sampler_name": samples.provenance.get("sampler"),
        "sd_model_name": model,
        "height": samples.tensor.shape[-2] if samples.tensor.ndim == 4 else None,
        "width": samples.tensor.shape[-1] if samples.tensor.ndim == 4 else None,
        "infotexts": [parameters_line(f.about) for f in files],
    }
    images = [base64.b64encode(f.content).decode() for f in files] if given.send_images else []
    return JSONResponse({"images": images, "parameters": given.model_dump(), "info": json.dumps(info)})


@router.get("/options")
async def options(asked: Asked) -> dict[str, Any]:
    """Which model requests of this client use."""
    here = context(asked)
    return {
        "sd_model_checkpoint": asked.app.state.checkpoints.get(client(asked).name, here.default),
        "samples_format": "png",
    }


@router.post("/options")
async def set_options(asked: Asked, given: Options) -> None:
    """Choose the model for this client's next requests, until the server ends."""
    if given.sd_model_checkpoint is not None:
        asked.app.state.checkpoints[client(asked).name] = known(context(asked), _title(given.sd_model_checkpoint))


@router.get("/sd-models")
async def sd_models(asked: Asked) -> list[dict[str, Any]]:
    """The models that are served."""
    return [{"title": n, "model_name": n, "hash": None, "filename": n} for n in context(asked).engine.models]


@router.get("/samplers")
async def samplers() -> list[dict[str, Any]]:
    """The samplers by our names; the web UI's spellings are understood as well."""
    return [{"name": name, "aliases": [], "options": {}} for name in names()]


@router.get("/schedulers")
async def schedulers() -> list[dict[str, Any]]:
    """The grids of times."""
    return [{"name": name, "label": name.replace("_", " ").title()} for name in GRIDS]


@router.get("/progress")
async def progress(asked: Asked) -> dict[str, Any]:
    """How much is running; single requests have no progress in this convention."""
    stats = context(asked).engine.stats()
    busy = stats.running + stats.waiting
    return {"progress": 0.0, "eta_relative": 0.0, "state": {"job_count": busy}, "current_image": None}


def _title(name: str) -> str:
    """Clients may send the hash after the name: ``"model [abc123]"``."""
    return name.partition(" [")[0].strip()
