"""Server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi.responses import StreamingResponse

MEDIA = "text/event-stream"


def event(kind: str, data: Mapping[str, Any]) -> bytes:
    """One event; JSON has no line breaks of its own."""
    return f"event: {kind}\ndata: {json.dumps(dict(data))}\n\n".encode()


def stream(events: AsyncIterator[bytes]) -> StreamingResponse:
    """An answer that proxies neither keep back nor store."""
    return StreamingResponse(events, media_type=MEDIA, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
