"""A quicker import of gradio."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any


class Later(ModuleType):
    """Stands for a module until something of it is used."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


@contextmanager
def quickly() -> Iterator[None]:
    """Import gradio in here: without stubs for editors, and with pandas read only when gradio first uses it.

    Gradio writes type stubs beside its own files: for each of its components it would parse its source anew, which takes two
    fifths of the time of its import; it leaves out those whose file is not to be found. Of pandas it wants two classes when
    it caches tables, which the studio never has it do; reading pandas takes a third of what remains.
    """
    real = inspect.getfile

    def getfile(what: Any) -> str:
        if isinstance(what, type) and what.__module__.startswith("gradio."):
            raise OSError("no stubs are wanted")
        return real(what)

    inspect.getfile = getfile  # type: ignore[assignment]
    stand_in = Later("pandas")
    sys.modules.setdefault("pandas", stand_in)
    try:
        yield
    finally:
        inspect.getfile = real
        if sys.modules.get("pandas") is stand_in:
            del sys.modules["pandas"]
