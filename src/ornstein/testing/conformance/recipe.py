"""The conformance suite of recipes: build, train two steps, sample, save, load, and the same samples again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import ornstein
from ornstein.core.errors import UsageError
from ornstein.data.dataset import Images
from ornstein.data.series.record import SeriesTable
from ornstein.recipes import registry
from ornstein.testing.conformance.compare import close, require


def check_recipe(
    name: str,
    settings: Mapping[str, Any],
    data: str | Images | SeriesTable = "digits",
    size: int | None = 8,
    sampling_steps: int = 3,
) -> None:
    """Run a recipe through its whole life at a size that takes seconds.

    Args:
        name: of the recipe.
        settings: fields of its config that make it small; two training steps are made whatever they say.
        data: what to train on.
        size: images are resized to this.
        sampling_steps: of each sample; another number where a recipe knows only some.
    """
    card = registry.card(name)
    for what in ("area", "title", "paper", "claim", "equations", "bibtex"):
        require(bool(getattr(card, what).strip()), f"recipe '{name}' has no {what}")
    _refuses_unknown_field(name)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        small = {**settings, "steps": 2}
        fresh = ornstein.build(name, data=data, size=size, settings=small)
        before = {k: v.clone() for k, v in fresh.modules.state_dict().items()}
        trained, result = ornstein.train(name, data=data, out=out, size=size, settings=small)
        require(result.step == 2, f"recipe '{name}': asked for 2 training steps, made {result.step}")
        after = trained.modules.state_dict()
        require(
            before.keys() == after.keys() and any(not torch.equal(before[k], after[k]) for k in before),
            f"recipe '{name}': two training steps changed no weight",
        )
        first = trained.sample(3, steps=sampling_steps, seed=5)
        require(bool(torch.isfinite(first.tensor).all()), f"recipe '{name}': samples are not finite")
        require(len(first.tensor) == 3, f"recipe '{name}': asked for 3 samples, got {len(first.tensor)}")
        again = trained.sample(1, steps=sampling_steps, seed=6)
        close(again.tensor[0], first.tensor[1], f"recipe '{name}': seed 6 alone and in a batch", rtol=0, atol=1e-4)
        for loaded in (ornstein.load(out), ornstein.load(_export(trained, Path(folder) / "weights"))):
            other = loaded.sample(3, steps=sampling_steps, seed=5)
            require(torch.equal(other.tensor, first.tensor), f"recipe '{name}': a loaded system samples something else")


def _export(system: Any, path: Path) -> Path:
    return ornstein.export(system, path, half=False)


def _refuses_unknown_field(name: str) -> None:
    try:
        ornstein.build(name, settings={"no_such_field": 1})
    except UsageError as error:
        require("no_such_field" in str(error), f"recipe '{name}': the error does not name the unknown field: {error}")
    else:
        raise AssertionError(f"recipe '{name}' takes a field that it does not have")
