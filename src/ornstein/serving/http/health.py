"""What operators ask."""

from __future__ import annotations

import os
from typing import Any

from fastapi import APIRouter
from fastapi import Request as Asked
from fastapi.responses import JSONResponse, Response

from ornstein import __version__
from ornstein.serving.http.context import context

router = APIRouter(tags=["operation"])


@router.get("/health", responses={503: {"description": "the engine has stopped"}})
async def health(asked: Asked) -> Response:
    """Whether the process lives and its engine runs; if not, start it again."""
    alive = context(asked).engine.alive
    told: dict[str, Any] = {"status": "ok" if alive else "stopped", "version": __version__, "process": os.getpid()}
    return JSONResponse(told, 200 if alive else 503)


@router.get("/ready", responses={503: {"description": "not yet, or no more"}})
async def ready(asked: Asked) -> Response:
    """Whether requests are taken: not before the first model is loaded, nor while the server is closing."""
    engine, warm = context(asked).engine, asked.app.state.warm
    if engine.closing or not engine.alive:
        status = "closing"
    elif not warm.status.final:
        status = "loading"
    else:
        status = "ready" if warm.error is None else f"the first model cannot be used: {warm.error}"
    return JSONResponse({"status": status}, 200 if status == "ready" else 503)


@router.get("/metrics", response_class=Response)
async def metrics(asked: Asked) -> Response:
    """Counters in Prometheus's text format."""
    return Response(asked.app.state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
