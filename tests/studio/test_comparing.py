"""The grid of comparisons: its axes, its cells, its errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ornstein.core.errors import UsageError
from ornstein.studio.core import Studio
from ornstein.studio.parts.comparing import MOST, Axis, as_csv, axis, compare, page, plan
from ornstein.studio.parts.generating import Asked


def test_axes_are_read() -> None:
    assert axis("sampler", "DPM++ 2M, heun").values == ("dpmpp_2m", "heun")
    assert axis("steps", "4, 8,8 ").values == (4, 8)
    assert axis("seed", "0-2, 7").values == (0, 1, 2, 7)
    assert axis("guidance", "1, 2.5").values == (1.0, 2.5)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("sampler", "huen", "heun"),
        ("steps", "many", "no number"),
        ("seed", "", "which values"),
        ("colour", "1", "unknown axis"),
    ],
)
def test_axes_that_cannot_be_meant(name: str, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        axis(name, text)


def test_the_plan_is_the_product() -> None:
    cells = plan(Asked("m", n=9), [Axis("steps", (2, 4)), Axis("seed", (0, 1, 2))])
    assert [at for at, _ in cells] == [(i, j, 0) for j in range(3) for i in range(2)]
    assert {(a.steps, a.seed, a.n) for _, a in cells} == {(s, e, 1) for s in (2, 4) for e in range(3)}
    with pytest.raises(UsageError, match="twice"):
        plan(Asked("m"), [Axis("seed", (1,)), Axis("seed", (2,))])
    with pytest.raises(UsageError, match=f"at most {MOST}"):
        plan(Asked("m"), [Axis("seed", tuple(range(97)))])


def test_errors_are_distances_from_the_flow(studio: Studio, tiny: Path) -> None:
    axes = [axis("sampler", "heun, ddim, ancestral"), axis("steps", "5, 20")]
    base = Asked(str(tiny), label="circle", guidance=1.0, seed=4)
    cells = {c.at: c for c in compare(studio, base, axes, 20)}
    assert len(cells) == 6
    same = cells[0, 1, 0]
    assert same.error is not None and same.error < 1e-6  # 20 steps of Heun are the reference itself
    system = studio.system(str(tiny))
    far = system.sample(1, seed=4, sampler="heun", steps=20, guidance=1.0, label="circle").tensor
    near = system.sample(1, seed=4, sampler="ddim", steps=5, guidance=1.0, label="circle").tensor
    assert cells[1, 0, 0].error == pytest.approx(float((near - far).double().square().mean().sqrt()), abs=1e-4)
    assert cells[2, 0, 0].error is None and cells[2, 1, 0].error is None  # it draws noise of its own
    assert torch.allclose(cells[1, 0, 0].picture, near[0], atol=1e-3)
    html = page(cells, axes)
    assert html.count("<img") == 6 and "draws its own noise" in html and html.count("o-best") == 1
    lines = as_csv(list(cells.values())).splitlines()
    assert lines[0] == "sampler,steps,guidance,seed,error,seconds" and len(lines) == 7


def test_a_third_axis_is_a_table_each() -> None:
    html = page({}, [axis("steps", "2"), axis("guidance", "1"), axis("seed", "0-1")])
    assert html.count("<table") == 2 and "seed 1" in html and "o-waiting" in html


def test_the_reference_has_bounds(studio: Studio, tiny: Path) -> None:
    with pytest.raises(UsageError, match="2 to 1000"):
        next(compare(studio, Asked(str(tiny)), [axis("steps", "2")], 1))
