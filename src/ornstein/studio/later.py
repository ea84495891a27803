"""Modules that are imported when they are first used.

The page needs no PyTorch to be laid out, and reading PyTorch takes longer than all else: so the tabs name the parts that do
their work as ``parts.generating.generate``, and the parts are read while the browser draws the page.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from importlib import import_module
from types import ModuleType

_LOCK = threading.RLock()
"""Held while modules are read, so that two threads never wait for each other in the middle of circular imports."""


def on_demand(package: str, names: Collection[str]) -> Callable[[str], ModuleType]:
    """A ``__getattr__`` for a package: the modules of these names, each read at its first use."""

    def find(name: str) -> ModuleType:
        if name not in names:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        with _LOCK:
            return import_module(f"{package}.{name}")

    return find
