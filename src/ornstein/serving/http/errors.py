"""Every error as one JSON object, ``{"error": {"message", "type", "param", "code"}}``, as OpenAI's clients read it."""

from __future__ import annotations

import logging
import math
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi import Request as Asked
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from ornstein.core.errors import CapabilityError, DataError, OrnsteinError, UsageError
from ornstein.serving.errors import DeadlinePassed, Defect, EngineClosed, JobCancelled, QueueFull, Refused, UnknownModel

log = logging.getLogger("ornstein.serving")

_STATUS: tuple[tuple[type[OrnsteinError], int, str], ...] = (
    (QueueFull, 503, "queue_full"),
    (EngineClosed, 503, "closing"),
    (DeadlinePassed, 504, "timeout"),
    (JobCancelled, 409, "cancelled"),
    (Refused, 400, "content_policy_violation"),
    (Defect, 500, "defect"),
    (UnknownModel, 404, "model_not_found"),
    (UsageError, 400, "invalid_value"),
    (DataError, 400, "invalid_data"),
    (CapabilityError, 400, "not_supported"),
    (OrnsteinError, 422, "not_possible"),
)


class ErrorDetail(BaseModel):
    """What is wrong and what to do about it."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """The answer where there is no other."""

    error: ErrorDetail


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": text}
    for status, text in (
        (400, "the request cannot be meant"),
        (401, "no key, or not one of this server's"),
        (404, "no such thing"),
        (408, "the request came too slowly"),
        (409, "the job was cancelled"),
        (413, "the request is too large"),
        (422, "the result is not finite"),
        (429, "too many requests: come back after Retry-After seconds"),
        (503, "the queue is full, or the server is closing: come back after Retry-After seconds"),
        (504, "not done in time"),
    )
}
"""The errors that any route may answer, for the schema."""


def body(status: int, message: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The JSON object."""
    kinds = {401: "authentication_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def answer(error: OrnsteinError) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, object and headers of one of our errors."""
    status, code = next((s, c) for kind, s, c in _STATUS if isinstance(error, kind))
    if status == 500:
        log.error("a request failed", exc_info=error)
        return status, body(status, "the computation failed; the server's log says why", code), {}
    headers = {"Retry-After": str(math.ceil(error.retry_after))} if isinstance(error, QueueFull) else {}
    if isinstance(error, EngineClosed):
        headers = {"Retry-After": "10"}
    return status, body(status, str(error), code), headers


def respond(error: OrnsteinError) -> JSONResponse:
    """The answer to whoever asked."""
    status, content, headers = answer(error)
    return JSONResponse(content, status, headers)


def install(app: FastAPI) -> None:
    """Answer every error of the routes so."""

    @app.exception_handler(OrnsteinError)
    async def ours(asked: Asked, error: Exception) -> JSONResponse:
        assert isinstance(error, OrnsteinError)
        return respond(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(asked: Asked, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
        if first["type"] == "json_invalid":
            place, told = "", f"the body is no JSON: {first['ctx']['error']} at character {first['loc'][-1]}"
        else:
            told = str(first["msg"])
        message = f"{place}: {told}" if place else told
        return JSONResponse(body(400, _written(message), "invalid_value", _written(place) or None), 400)

    @app.exception_handler(HTTPException)
    @app.exception_handler(400)  # what the router and the reader of bodies raise is of the class below that of FastAPI
    @app.exception_handler(404)
    @app.exception_handler(405)
    async def other(asked: Asked, error: Exception) -> JSONResponse:
        status = int(getattr(error, "status_code", 500))
        told = _written(str(getattr(error, "detail", error)))
        return JSONResponse(body(status, told), status, getattr(error, "headers", None))


def _written(text: str) -> str:
    """The text without what cannot be written, and not longer than needed: parts of it may be the client's."""
    return text[:500].encode("utf-8", "backslashreplace").decode("utf-8")
