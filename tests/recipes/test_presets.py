"""Every paper-size configuration builds with the paper's number of parameters, and trains at a lower resolution."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ornstein
from ornstein.core.errors import UsageError
from ornstein.data import Images
from ornstein.data.series import Record, SeriesTable
from ornstein.recipes import presets, registry

_MAP = np.zeros((8, 1, 8, 8), dtype=np.uint8)
ASKED: dict[str, dict[str, Any]] = {
    "unit-ddpm": {"labels": np.arange(8) % 2, "classes": ("a", "b")},
    "semantic-diffusion-model": {"conds": {"regions": _MAP}},
    "dag": {"conds": {"depth": _MAP}},
}
"""What some recipes ask of the data, for the eight pictures of the test at a size of 8."""
ALL = [(recipe, name) for recipe, some in presets.PRESETS.items() for name in some]


@pytest.mark.parametrize(("recipe", "name"), ALL)
def test_builds_with_the_published_number_of_parameters(recipe: str, name: str) -> None:
    preset, card = presets.preset(recipe, name), registry.card(recipe)
    with torch.device("meta"):
        system = card.build(registry.make_config(card.config, preset.settings))
    if preset.parameters is not None:
        assert math.isclose(system.parameters(), preset.parameters, rel_tol=preset.tolerance), system.parameters()


@pytest.mark.parametrize(("recipe", "name"), ALL)
def test_trains_two_steps_at_a_lower_resolution(recipe: str, name: str, tmp_path: Path) -> None:
    preset = presets.preset(recipe, name)
    settings = {**preset.settings, **preset.reduced, "steps": 2}
    if registry.card(recipe).area == "series":
        values = np.random.default_rng(0).normal(size=(20, 2))
        table = SeriesTable((Record(values, np.arange(20.0)),), ("a", "b"), calendar=False)
        _, result = ornstein.train(recipe, data=table, out=tmp_path / "run", settings=settings)
        assert result.step == 2 and math.isfinite(result.loss)
        return
    data = torch.randint(0, 256, (8, settings["channels"], settings["size"], settings["size"]), dtype=torch.uint8)
    images = Images(data.numpy(), name="noise", **ASKED.get(recipe, {}))
    _, result = ornstein.train(recipe, data=images, out=tmp_path / "run", settings=settings)
    assert result.step == 2 and math.isfinite(result.loss)


def test_unknown_presets_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown preset of recipe 'ddpm' 'cifar': did you mean 'cifar10'"):
        presets.preset("ddpm", "cifar")
    with pytest.raises(UsageError, match="'none-such' has no presets"):
        presets.preset("none-such", "cifar10")
