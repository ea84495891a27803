"""Ornstein: train, sample, measure and explain diffusion models.

``import ornstein`` is quick: the functions below import PyTorch when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ornstein.core.importing import without_collection

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ornstein.interop.load import load as load
    from ornstein.recipes.house import build as build
    from ornstein.recipes.house import train as train
    from ornstein.recipes.restore import restore as restore
    from ornstein.recipes.saved import bundled_models as bundled_models
    from ornstein.recipes.saved import export as export

_PUBLIC = {name: "ornstein.recipes.house" for name in ("build", "train")}
_PUBLIC |= {name: "ornstein.recipes.saved" for name in ("bundled_models", "export")}
_PUBLIC["load"] = "ornstein.interop.load"
_PUBLIC["restore"] = "ornstein.recipes.restore"


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        with without_collection():
            value = getattr(import_module(_PUBLIC[name]), name)
        globals()[name] = value
        return value
    if name == "recipes":
        return import_module("ornstein.recipes")  # the room of recipes, and itself callable: ornstein.recipes()
    raise AttributeError(f"module 'ornstein' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC, "recipes"])
