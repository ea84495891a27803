"""Every recipe has a page under docs/systems, and the page a small picture."""

import re

import pytest

from house.tree import ROOT
from ornstein.recipes.registry import cards

FOLDER = ROOT / "docs" / "systems"
LARGEST = 60_000  # bytes of one picture; those that other pages share may be larger


@pytest.mark.parametrize("name", sorted(cards()))
def test_every_recipe_has_a_page_with_a_picture(name: str) -> None:
    page = FOLDER / f"{name}.md"
    assert page.is_file(), f"write docs/systems/{name}.md: what it is, its equations, an example, a picture"
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert shown, (
        f"{page.name} shows no picture: draw one with python tools/system_pictures.py {name}, look at it, link it"
    )
    for link in shown:
        picture = (FOLDER / link).resolve()
        assert picture.is_file(), f"{page.name} shows {link}, which is not there"
        if picture.parent.name == "systems":
            assert picture.stat().st_size < LARGEST, f"{link} has {picture.stat().st_size} bytes: draw it smaller"
