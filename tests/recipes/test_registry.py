"""Recipes by name, and configs from values of any origin."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Literal

import pytest

import ornstein
from ornstein.core.errors import UsageError
from ornstein.recipes import registry
from ornstein.recipes.registry import make_config

NAMES = sorted(registry.cards())


@dataclass(frozen=True)
class Config:
    count: int = 1
    rate: float = 0.5
    on: bool = False
    name: str = "a"
    widths: tuple[int, ...] = (1, 2)
    pair: tuple[float, float] = (0.0, 1.0)
    kind: Literal["x", "y"] = "x"
    limit: float | None = None


def test_the_four_first_recipes_are_there() -> None:
    assert {"ddpm", "ddim", "edm", "flow-matching"} <= set(NAMES)
    assert [c.name for c in ornstein.recipes()] == sorted(NAMES, key=lambda n: (registry.card(n).area, n))


@pytest.mark.parametrize("name", NAMES)
def test_cards_are_complete(name: str) -> None:
    card = registry.card(name)
    assert card.name == name
    for field in ("area", "title", "paper", "claim", "equations"):
        assert getattr(card, field).strip(), field
    assert card.bibtex.startswith("@") and card.bibtex.count("{") == card.bibtex.count("}")
    assert dataclasses.is_dataclass(card.config) and card.config.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert isinstance(card.config(), card.config), "every field has a default"


@pytest.mark.parametrize(("name", "near"), [("dpm", "ddpm"), ("ddimm", "ddim"), ("flow_matching", "flow-matching")])
def test_unknown_names_suggest_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"unknown recipe '{name}': did you mean '{near}'"):
        registry.card(name)


def test_a_name_is_registered_once() -> None:
    card = registry.card("edm")
    again = registry.recipe("edm", area="", title="", paper="", claim="", equations="", bibtex="")
    with pytest.raises(ValueError, match="registered twice"):
        again(card.build)


@pytest.mark.parametrize(
    ("field", "given", "value"),
    [
        ("count", "3", 3),
        ("count", 3.0, 3),
        ("rate", "1e-3", 1e-3),
        ("rate", 2, 2.0),
        ("on", "yes", True),
        ("on", "False", False),
        ("on", True, True),
        ("name", "b", "b"),
        ("widths", "8,16,32", (8, 16, 32)),
        ("widths", [8], (8,)),
        ("widths", "", ()),
        ("pair", "1,2.5", (1.0, 2.5)),
        ("kind", "y", "y"),
        ("limit", "none", None),
        ("limit", None, None),
        ("limit", "4", 4.0),
    ],
)
def test_values_are_read_by_the_type_of_the_field(field: str, given: Any, value: Any) -> None:
    got = getattr(make_config(Config, {field: given}), field)
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cuont": 1}, "Config has no field 'cuont': did you mean 'count'"),
        ({"count": "many"}, "count.*'many'"),
        ({"count": 2.5}, "count.*2.5"),
        ({"count": True}, "count.*True"),
        ({"rate": "fast"}, "rate.*'fast'"),
        ({"on": "perhaps"}, "on must be true or false, got 'perhaps'"),
        ({"kind": "z"}, "kind must be one of 'x', 'y', got 'z'"),
        ({"pair": "1,2,3"}, "pair needs 2 values, got 3"),
        ({"widths": "8,wide"}, "widths.*'wide'"),
        ({"widths": 8}, "widths.*8"),
    ],
)
def test_values_that_cannot_be_meant(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_config(Config, settings)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_survives_json(name: str) -> None:
    import json

    config = registry.card(name).config()
    assert make_config(type(config), json.loads(json.dumps(dataclasses.asdict(config)))) == config


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ddpm", {"chain": 1}, "chain must be at least 2, got 1"),
        ("ddpm", {"chain": 100, "sampling_steps": 101}, "sampling_steps must lie in 1 .. 100"),
        ("ddim", {"eta": 1.5}, "eta must lie in .0, 1., got 1.5"),
        ("ddim", {"grid": "cubic"}, "grid must be one of 'uniform', 'quadratic'"),
        ("flow-matching", {"sampling_steps": 0}, "sampling_steps must be at least 1, got 0"),
        ("flow-matching", {"logit_std": -1, "times": "logit_normal"}, "std must be positive, got -1"),
        ("edm", {"size": 0}, "size must be at least 1, got 0"),
        ("edm", {"sigma_min": 90.0}, "0 < sigma_min < sigma_max, got 90.0 and 80.0"),
    ],
)
def test_settings_that_a_recipe_refuses(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ornstein.build(name, settings=settings)


def test_a_card_reads_its_own_module_alone() -> None:
    """In a process of its own: here all have been read."""
    code = """
import sys
from ornstein.recipes import registry
print(registry.card("ddpm").name, "ornstein.recipes.images.vdm" in sys.modules)
print(registry.card("classifier-free-guidance").name)  # its module has another name
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines() == ["ddpm False", "classifier-free-guidance"]
