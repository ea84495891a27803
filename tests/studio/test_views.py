"""How samples are shown: pictures, series, charts; and that a view is all a modality needs."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import ornstein
from ornstein.core.errors import CapabilityError, DataError
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.studio import html
from ornstein.studio.charts import BOTTOM, TOP, Curve, chart
from ornstein.studio.core import Studio
from ornstein.studio.parts.models import facts_of
from ornstein.studio.views import table
from ornstein.studio.views.base import Shown, View
from ornstein.studio.views.boxes import Boxes, drawing
from ornstein.studio.views.series import SeriesView, fan, read_draws


def polygons(svg: str) -> list[list[tuple[float, float]]]:
    found = re.findall(r"<polygon [^>]*points='([^']*)'", svg)
    return [[tuple(map(float, p.split(","))) for p in text.split(" ")] for text in found]  # type: ignore[misc]


def test_intervals_over_a_gap() -> None:
    """Draws 0 .. 100 at each step of the gap: the 90 % interval is 5 .. 95, the 50 % one 25 .. 75, the median 50."""
    x = torch.arange(101.0)[:, None].expand(101, 10)
    known = torch.full((10,), 50.0)
    known[0], known[9] = 0, 100  # what the chart reaches to, with 6 % of room at either end
    known[3:6] = torch.nan
    svg = fan(x, known)
    wide, narrow = polygons(svg)
    # the band runs from the observed neighbour before the gap to that after it, where it has no width
    assert len(wide) == len(narrow) == 10
    assert wide[0] == wide[-1] and wide[4] == wide[5]
    heights = [abs(band[2][1] - band[-3][1]) for band in (wide, narrow)]
    whole = 230 - TOP - BOTTOM
    assert heights == pytest.approx([whole * 90 / 112, whole * 50 / 112], rel=0.01)
    assert svg.count("<circle") == 7 and "observed" in svg and "90% of the draws" in svg


def test_one_draw_has_no_interval() -> None:
    svg = fan(torch.zeros(1, 5))
    assert not polygons(svg) and "<polyline" in svg
    with pytest.raises(DataError, match="draws of one channel"):
        fan(torch.zeros(2, 5), torch.zeros(4))


def test_draws_are_read(tmp_path: Path) -> None:
    path = tmp_path / "draws.npz"
    known = np.full((2, 6, 1), np.nan)
    known[:, :3] = 1
    np.savez(path, samples=np.zeros((2, 5, 6, 1)), observed=known, channels=np.array(["load"]))
    records = read_draws(path)
    assert len(records) == 2 and records[0].x.shape == (5, 6, 1) and tuple(records[0].channels) == ("load",)
    np.savez(path, samples=np.zeros((2, 5, 6)))
    assert read_draws(path)[0].x.shape == (5, 6, 1)
    for arrays, says in (
        ({"samples": np.full((2, 5, 6), np.nan)}, "finite"),
        ({"samples": np.zeros((2, 5))}, "finite numbers"),
        ({"samples": np.zeros((2, 5, 6)), "observed": np.zeros((1, 6))}, "observed"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=says):
            read_draws(path)


def series_samples() -> Samples:
    return Samples(torch.randn(4, 2, 12), [0, 1, 2, 3], {}, (), {"software": "ornstein"})


def test_series_are_drawn_and_kept(tmp_path: Path) -> None:
    shown = SeriesView().show(series_samples(), tmp_path)
    assert shown.html.count("<svg") == 2 and not shown.gallery
    assert read_draws(shown.files[0])[0].x.shape == (4, 12, 2)
    assert SeriesView().preview(torch.randn(3, 1, 12)).count("<svg") == 1


def test_boxes_are_drawn_and_kept(tmp_path: Path) -> None:
    detector = ornstein.build("diffusion-inst", settings={"size": 16, "proposals": 3, "width": 16, "head": 8})
    view = table.view_of(detector)
    assert isinstance(view, Boxes) and detector.data_shape == (3, 4)
    shown = view.show(detector.sample(2, steps=1), tmp_path)
    assert shown.html.count("<svg") == 2 and shown.html.count("<rect") == 6
    assert np.load(shown.files[0])["boxes"].shape == (2, 3, 4)
    assert "x='25.0' y='0.0' width='50.0' height='100.0'" in drawing(torch.tensor([[0.25, -1.0, 0.75, 2.0]]))


@pytest.mark.parametrize("recipe", ["analog-bits", "cld", "first-hitting-diffusion", "non-uniform-diffusion"])
def test_pictures_are_known_by_what_comes_out(recipe: str) -> None:
    """Their states are bits, wavelets, or have a velocity beside them."""
    system = ornstein.build(recipe, settings={"size": 8, "channels": 1, "widths": (8,), "attention": ()})
    assert system.data_shape == (1, 8, 8) == tuple(system.sample(1, steps=2).tensor.shape[1:])
    assert system.shape != system.data_shape and table.view_of(system).name == "images"


class Sounds(View):
    """What the view of another modality would be."""

    name = "sounds"

    def fits(self, system: System) -> bool:
        return len(system.data_shape) == 1

    def preview(self, x: torch.Tensor) -> str:
        return "<p>sound</p>"

    def show(self, samples: Samples, folder: Path) -> Shown:
        return Shown(html="<audio></audio>")


def test_a_view_is_all_that_a_modality_needs(studio: Studio, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = studio.system(str(tiny))
    sound = dataclasses.replace(system, data_shape=(16_000,))
    with pytest.raises(CapabilityError, match="no view; it has images, boxes, series"):
        table.view_of(sound)
    assert facts_of(sound).view is None
    monkeypatch.setattr(table, "VIEWS", (*table.VIEWS, Sounds()))
    assert facts_of(sound).view == "sounds" and table.view_of(system).name == "images"
    assert isinstance(table.view_of(dataclasses.replace(system, data_shape=(3, 48))), SeriesView)


def test_charts() -> None:
    svg = chart([Curve("a", [(0, 1), (1, float("nan")), (2, 100)])], x_label="x", y_label="y", log_y=True, at=1)
    points = svg.split("points='")[1].split("'")[0].split(" ")
    assert len(points) == 2 and "o-at" in svg and "o-legend" not in svg
    (x_0, y_0), (x_1, y_1) = (tuple(map(float, p.split(","))) for p in points)
    assert x_1 > x_0 and y_1 < y_0  # upwards on the page
    assert "no y yet" in chart([Curve("", [])], x_label="x", y_label="y")
    assert "<svg" in chart([Curve("", [(0, 3), (1, 3)])], x_label="x", y_label="y")  # all alike


def test_what_comes_from_outside_is_escaped() -> None:
    bad = "<script>alert('1')</script>"
    for made in (
        html.notice(bad),
        html.table((bad,), [(bad,)]),
        html.facts({bad: bad}),
        html.sheet([torch.zeros(1, 2, 2)], [bad]),
        html.empty(bad),
        html.bar(1, 2, bad),
        chart([Curve(bad, [(0, 1)]), Curve("b", [(0, 2)])], x_label=bad, y_label=bad),
    ):
        assert "<script" not in made and "&lt;script" in made
