"""A log of what was asked for and what left, one JSON object a line. What people wrote or uploaded is not in it by default."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

from ornstein.core.errors import OrnsteinError

PRIVATE = frozenset(
    {"prompt", "negative", "negative_prompt", "caption", "text", "image", "images", "mask", "init_images"}
)
"""Fields that are left out, wherever they are nested, unless the log is made with ``prompts=True``."""

_LIMIT = 64 * 2**20


@final
class AuditLog:
    """Lines are appended to ``path``, which only its owner can read; at ``limit`` bytes it becomes ``path.1`` and another begins.

    ``prompts``: whether what people wrote is kept as well. That is personal data: say so to them, and when it is deleted.
    """

    def __init__(self, path: str | Path, prompts: bool = False, limit: int = _LIMIT) -> None:
        self.path, self.prompts, self.limit = Path(path), prompts, limit
        self._lock = threading.Lock()

    def write(self, event: str, fields: Mapping[str, Any]) -> None:
        """One line: the time (UTC), the event, and its fields.

        Raises:
            OrnsteinError: the line cannot be written. What must be logged and cannot be should not happen.
        """
        kept = dict(fields) if self.prompts else public(fields)
        line = json.dumps(
            {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **kept}, default=str
        )
        try:
            with self._lock:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                if self.path.exists() and self.path.stat().st_size + len(line) > self.limit:
                    self.path.replace(self.path.with_name(self.path.name + ".1"))
                # In one call, so that lines of several processes do not mix.
                to = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                try:
                    os.write(to, (line + "\n").encode())
                finally:
                    os.close(to)
        except OSError as e:
            raise OrnsteinError(
                f"the audit log {self.path} cannot be written: {e.strerror or e}; make room there or choose another path"
            ) from e


def public(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields without those in :data:`PRIVATE`, at any depth."""
    return {k: _public(v) for k, v in fields.items() if k not in PRIVATE}


def _public(value: Any) -> Any:
    if isinstance(value, Mapping):
        return public(value)
    return [_public(v) for v in value] if isinstance(value, list | tuple) else value
