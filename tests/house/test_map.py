"""The map of the field is what the recipes say."""

import subprocess
import sys

from house.tree import ROOT, environment


def test_map_is_current() -> None:
    command = [sys.executable, str(ROOT / "tools" / "map_page.py"), "--check"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_recipe_is_drawn() -> None:
    from ornstein.recipes.registry import cards

    text = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    drawing = text.split("```mermaid")[1].split("```")[0]
    for name in cards():
        assert f'["{name}"]' in drawing
