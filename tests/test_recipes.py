"""Every recipe lives its whole life at a size of seconds: a new one needs no line here unless TINY does not fit it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ornstein.core.errors import UsageError
from ornstein.recipes import registry
from ornstein.testing.conformance import check_recipe

TINY: dict[str, Any] = {"batch": 8, "widths": (64,), "blocks": 1, "patch": 1, "precision": "fp32"}
"""Fields that make a recipe small; those that it does not have are left out."""

OWN: dict[str, dict[str, Any]] = {}
"""More fields, for single recipes."""


@pytest.mark.parametrize("name", registry.cards())
def test_recipe(name: str) -> None:
    fields = {f.name for f in dataclasses.fields(registry.card(name).config)}
    check_recipe(name, {k: v for k, v in TINY.items() if k in fields} | OWN.get(name, {}))


def test_an_unknown_recipe_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown recipe 'dppm': did you mean 'ddpm'"):
        registry.card("dppm")


def test_an_unknown_field_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="no field 'sampling_step': did you mean 'sampling_steps'"):
        registry.make_config(registry.card("ddpm").config, {"sampling_step": 1})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr": "fast"}, "lr"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"precision": "fp8"}, "'bf16', 'fp16', 'fp32'"),
    ],
)
def test_a_wrong_value_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        registry.make_config(registry.card("ddpm").config, settings)
