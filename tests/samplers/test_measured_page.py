"""The page of measured tables is made from the results in the repository."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from ornstein.interop.diffusers.schedulers.config import DEFAULTS
from ornstein.processes import VP
from ornstein.samplers import SAMPLERS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("samplers_page", ROOT / "tools" / "samplers_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_results(tool: ModuleType) -> None:
    text = tool.PAGE.read_text(encoding="utf-8")
    assert tool.page(text) == text, "run tools/samplers_page.py"


def test_the_results_are_complete_and_within_bounds(tool: ModuleType) -> None:
    rows = tool.read("scheduler_parity.csv")
    assert {row["class"] for row in rows} == set(DEFAULTS), "run benchmarks/scheduler_parity.py"
    assert all(float(row["largest_difference"]) < 1e-4 for row in rows)
    measured = {row["sampler"] for row in tool.read("solver_orders.csv")}
    process = VP()
    wanted = {
        name
        for name, kind in SAMPLERS.items()
        if not kind.stochastic and kind.order > 0 and isinstance(process, kind.needs)
    }
    assert measured == wanted, "run benchmarks/solver_orders.py"
