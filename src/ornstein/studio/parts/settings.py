"""Settings that a picture carries, put back on the page."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ornstein.core.errors import DataError, OrnsteinError
from ornstein.provenance.settings import read_settings
from ornstein.samplers.grids import GRIDS
from ornstein.samplers.table import get
from ornstein.studio.core import Studio
from ornstein.studio.parts.generating import Asked
from ornstein.studio.words import NO_LABEL, OWN


def read(path: str | Path) -> dict[str, Any]:
    """The settings in a picture's file, ours or the line that many tools write.

    Raises:
        DataError: it is no picture, or carries none.
    """
    found = read_settings(path)
    if found is None:
        raise DataError(
            f"{Path(path).name} carries no settings: pictures that were made here do, until a tool strips them"
        )
    return found.values


def restored(studio: Studio, values: dict[str, Any], now: Asked) -> tuple[Asked, list[str]]:
    """The page as it stood when the picture was made, and what could not be put back.

    What the picture does not say stays as it is on the page.
    """
    notes: list[str] = []
    model = _model(studio, values, now.model)
    if model is None:
        notes.append(f"none of the models here has the weights of this picture (recipe '{values.get('recipe')}')")
    change: dict[str, Any] = {"model": model or now.model, "n": 1}
    for name, kind in (("steps", int), ("guidance", float), ("seed", int)):
        if isinstance(values.get(name), int | float):
            change[name] = kind(values[name])
    if isinstance(values.get("sampler"), str):
        change["sampler"] = _known(values["sampler"], notes)
    if isinstance(values.get("grid"), str):
        change["grid"] = values["grid"] if values["grid"] in GRIDS else OWN
    if "label" in values:
        change["label"] = str(values["label"]) or NO_LABEL
    for name in ("prompt", "negative"):
        if isinstance(values.get(name), str):
            change[name] = values[name]
    for name in ("edit", "restoration"):
        if name in values:
            notes.append(f"the picture was edited ({values[name]}); the picture that it was made of is not in it")
    return dataclasses.replace(now, **change), notes


def _known(sampler: str, notes: list[str]) -> str:
    try:
        return get(sampler).name
    except OrnsteinError:
        notes.append(f"the sampler '{sampler}' is the model's own")
        return OWN


def _model(studio: Studio, values: dict[str, Any], now: str) -> str | None:
    """The model of those weights: the one on the page if it is, else the first."""
    wanted = (values.get("weights") or {}).get("hash")
    for name in [now, *(m for m in studio.models if m != now)]:
        try:
            system = studio.system(name)
        except OrnsteinError:  # a run that cannot be read is none of the picture's
            continue
        if wanted and system.weights.get("hash") == wanted:
            return name
        if not wanted and system.recipe == values.get("recipe"):
            return name
    return None
