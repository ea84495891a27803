"""Importing large libraries without stopping to look for garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Within it the garbage collector rests, unless it rests already.

    Importing makes some hundred thousand objects that all stay, and the collector goes through them again and again: a
    fifth of the time that PyTorch, transformers and diffusers take to import.
    """
    works = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if works:
            gc.enable()
