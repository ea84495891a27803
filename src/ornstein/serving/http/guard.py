"""What every request passes before a route sees it: key, rate, size, time; and what is counted of it."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import HTTPException

from ornstein.serving.http.errors import body
from ornstein.serving.http.metrics import Metrics
from ornstein.serving.keys import ANYONE, Client, Keys
from ornstein.serving.limits import Buckets
from ornstein.serving.settings import Limits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = ("/health", "/ready", "/v1/files/")
"""Routes without a key: of the first two operators ask; the names of files are the key."""


class Guard:
    """ASGI middleware. It does not touch answers, so that streams pass as they are."""

    def __init__(
        self, app: App, keys: Keys | None, limits: Limits, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ):
        self.app, self.keys, self.limits, self.metrics = app, keys, limits, metrics
        self.buckets = Buckets(clock)
        self.open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, status = time.monotonic(), 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-content-type-options", b"nosniff")]
            await send(message)

        self.open += 1
        try:
            refused = self._refused(scope)
            if refused is not None:
                await _refuse(told, *refused)
                return
            await self.app(scope, self._limited(receive), told)
        finally:
            self.open -= 1
            route = scope.get("route")
            self.metrics.request(getattr(route, "path", "other"), scope["method"], status, time.monotonic() - begin)

    def _refused(self, scope: Scope) -> tuple[int, str, dict[str, str]] | None:
        path = scope["path"]
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        if self.open > self.limits.connections:
            return 503, "too many requests are open", {"Retry-After": "1"}
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self.limits.body:
            return 413, f"a request may have {self.limits.body} bytes at most, and this one has {length[:20]}", {}
        if path.startswith(OPEN):
            return None
        who = self._client(headers)
        if who is None:
            what = (
                "this key is not known here" if "authorization" in headers else "give a key: Authorization: Bearer KEY"
            )
            return 401, what, {"WWW-Authenticate": "Bearer"}
        scope["ornstein.client"] = who
        rate = self.limits.rate if who.rate is None else who.rate
        wait = self.buckets.take(who.name or str((scope.get("client") or ("",))[0]), rate)
        if wait:
            return (
                429,
                f"more than {rate:g} requests a minute; come back in {wait:.1f} s",
                {"Retry-After": str(math.ceil(wait))},
            )
        return None

    def _client(self, headers: dict[str, str]) -> Client | None:
        if self.keys is None:
            return ANYONE
        kind, _, key = headers.get("authorization", "").partition(" ")
        return self.keys.client(key.strip()) if kind.lower() == "bearer" else None

    def _limited(self, receive: Receive) -> Receive:
        """The body counted, whatever its header says, and timed from now to its end."""
        seen, complete = 0, False
        due = time.monotonic() + self.limits.body_seconds

        async def limited() -> Message:
            nonlocal seen, complete
            if complete:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(due - time.monotonic(), 0.001))
            except TimeoutError:
                raise HTTPException(408, f"the request did not arrive within {self.limits.body_seconds:g} s") from None
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                complete = not message.get("more_body", False)
                if seen > self.limits.body:
                    raise HTTPException(413, f"a request may have {self.limits.body} bytes at most")
            return message

        return limited


async def _refuse(send: Send, status: int, message: str, headers: dict[str, str] | None = None) -> None:
    content = json.dumps(body(status, message)).encode()
    told = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
    pairs = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})
