"""A quicker import of gradio."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_stubs() -> Iterator[None]:
    """Import gradio in here: it then writes no type stubs for editors beside its own files.

    For each of its components it would parse its source anew, which takes two fifths of the time of its import; it leaves
    out those whose file is not to be found.
    """
    real = inspect.getfile

    def getfile(what: Any) -> str:
        if isinstance(what, type) and what.__module__.startswith("gradio."):
            raise OSError("no stubs are wanted")
        return real(what)

    inspect.getfile = getfile  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.getfile = real
