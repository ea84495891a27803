"""Hashes of arrays and texts: what a protocol says a reference was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from torch import Tensor


def digest_of(parts: Iterable[Tensor | str | None]) -> str:
    """SHA-256 of tensors (type, shape and content) and texts in order."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            digest.update(f"{part.dtype}{tuple(part.shape)}".encode())
            digest.update(part.detach().cpu().contiguous().numpy().tobytes())
        else:
            text = b"" if part is None else part.encode()
            digest.update(f"{'none' if part is None else len(text)}:".encode() + text)
    return digest.hexdigest()
