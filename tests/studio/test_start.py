"""The page is laid out before PyTorch is read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from house.tree import environment
from ornstein.studio import parts
from ornstein.studio.core import Studio
from ornstein.studio.quick import Later

LAY_OUT = """
import sys
from ornstein.studio.server import application
from ornstein.studio.core import Studio
with Studio() as studio:
    application(studio)
    assert "gradio" in sys.modules
    print(*sorted({"torch", "pandas", "ornstein.recipes.system"} & set(sys.modules)))
"""


def test_the_page_needs_no_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LAY_OUT], env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_warming_reads_the_first_model_and_passes_over_a_broken_one(tiny: Path, tmp_path: Path) -> None:
    with Studio([tiny]) as studio:
        studio.warm()
        assert list(studio._systems) == [str(tiny)]
    with Studio([tmp_path]) as studio:
        studio.warm()
        assert not studio._systems


def test_parts_are_there_when_they_are_asked_for() -> None:
    assert [getattr(parts, name).__name__ for name in parts.NAMES] == [f"{parts.__name__}.{n}" for n in parts.NAMES]
    with pytest.raises(AttributeError, match="no attribute 'generatng'"):
        parts.generatng  # noqa: B018


def test_a_stand_in_becomes_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = Later("colorsys")
    monkeypatch.setitem(sys.modules, "colorsys", stand_in)
    assert stand_in.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)
    assert sys.modules["colorsys"] is not stand_in
