"""Do the weights fit the configuration?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ornstein.core.errors import CheckpointError, UsageError
from ornstein.core.finding import Finding, error, ok
from ornstein.recipes import saved
from ornstein.recipes.system import System

NAME = "configuration"


def check(run: Path, meta: dict[str, Any]) -> tuple[System | None, Finding]:
    """Load the run; compare the config beside it with the one that its weights were trained with."""
    odd = changed(run, meta)
    if odd:
        return None, error(
            NAME,
            f"{run / 'config.json'} is not the configuration of the weights: {'; '.join(odd)}",
            "the checkpoint's own is the true one; to train with other values, start a new run",
        )
    try:
        system = saved.load(run)
    except (CheckpointError, UsageError) as e:
        return None, error(NAME, str(e), "load the weights with the configuration that they were trained with")
    return system, ok(NAME, f"recipe '{system.recipe}', {system.parameters():,} parameters, all in place")


def changed(run: Path, meta: dict[str, Any]) -> list[str]:
    """Fields in which config.json differs from the checkpoint."""
    path = run / "config.json"
    if not path.is_file():
        return []
    try:
        beside = dict(json.loads(path.read_text(encoding="utf-8"))["config"])
    except (ValueError, KeyError, TypeError) as e:
        return [f"it cannot be read ({e})"]
    own = meta.get("config", {})
    lengths = {"steps"}  # may grow when a run is resumed
    return [
        f"{k} is {beside.get(k)!r}, the weights have {own.get(k)!r}"
        for k in sorted(set(own) | set(beside))
        if k not in lengths and own.get(k) != beside.get(k)
    ]
