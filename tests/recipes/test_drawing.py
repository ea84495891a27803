"""Sketches and strokes: each strengthened on its own, the coarse part that is held, editing, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ornstein
from ornstein.core.cond import Cond
from ornstein.core.distributions import Dirac
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.data import Images
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.separate import Separate
from ornstein.measurements import JPEG, Measurement
from ornstein.processes import VP
from ornstein.recipes import house
from ornstein.recipes.restoration.diss import DiSS, Drawing, drawn, strokes
from ornstein.recipes.restoration.generative_colorization import line_art
from ornstein.restoration.low_pass import LowPassed, coarse
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.base import simulate
from ornstein.testing import exact

TINY: dict[str, Any] = {
    "size": 8, "channels": 1, "widths": (16,), "blocks": 1, "patch": 1, "block": 2, "finest": 4, "precision": "fp32",
}  # fmt: skip


def built(**settings: Any) -> Drawing:
    system = house.build("diss", settings={**TINY, **settings})
    assert isinstance(system, Drawing)
    for name, p in system.denoiser.named_parameters():
        if name.endswith("out_gain"):
            nn.init.normal_(p, std=0.3)
    return system


class Sums(Denoiser):
    """E[x_0] = a + 10 b, each 0 where missing; keeps the number of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.process, self.calls = VP(), 0

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = {}) -> Dirac:  # noqa: B006
        self.calls += 1
        return Dirac(cond["a"].nan_to_num(0.0) + 10 * cond["b"].nan_to_num(0.0) + 100 * cond["label"][:, None])


def test_each_condition_counts_as_much_as_its_scale() -> None:
    base = Sums()
    cond = {"a": torch.ones(3, 1), "b": torch.tensor([[2.0], [torch.nan], [2.0]]), "label": torch.tensor([0, 0, 1])}
    out = Separate(base, {"a": 3.0, "b": 0.5})(torch.zeros(3, 1), torch.tensor(0.5).double(), cond).mean
    assert out.flatten().tolist() == [13.0, 3.0, 113.0] and base.calls == 1
    only = Separate(base, {"a": 3.0})(torch.zeros(3, 1), torch.tensor(0.5).double(), cond).mean
    assert only.flatten().tolist() == [23.0, 3.0, 123.0], "what is not named stays in every branch"
    with pytest.raises(UsageError, match="guidance by 'b' was asked for, and it was not given"):
        Separate(base, {"b": 1.0})(torch.zeros(1, 1), torch.tensor(0.5), {"a": torch.ones(1, 1)})
    with pytest.raises(UsageError, match="needs the name and the scale of a condition"):
        Separate(base, {})


@pytest.mark.parametrize("cells", [1, 3, 4, 8])
def test_the_coarse_part_is_an_orthogonal_projection(cells: int) -> None:
    x, y = torch.randn(2, 2, 8, 8, dtype=torch.float64)
    low = coarse(x, cells)
    torch.testing.assert_close(coarse(low, cells), low)
    torch.testing.assert_close((coarse(x, cells) * y).sum(), (x * coarse(y, cells)).sum())
    if 8 % cells == 0:
        torch.testing.assert_close(low, strokes(x[None], 8 // cells)[0])
    # It keeps what the averages say, of any areas.
    average = nn.AdaptiveAvgPool2d(cells)
    torch.testing.assert_close(average(low), average(x))


def test_the_coarse_part_is_held_at_every_level() -> None:
    problem = exact.gaussian(VP(), torch.tensor(0.0).double(), torch.tensor(1.0).double())
    reference = torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(1, 1, 4, 4)
    move = LowPassed(Ancestral(problem.denoiser), reference, 2)
    x, times = Stream(0).normal((300, 1, 4, 4)).double(), torch.linspace(1, 0, 21).double()
    seen = []
    end = simulate(move, x, times, Stream(1), on_step=lambda step: seen.append(step.x))
    assert float((coarse(end, 2) - coarse(reference, 2)).abs().max()) < 1e-5
    assert float((end - coarse(end, 2)).std()) > 0.5, "the rest is drawn"
    # Half-way the coarse part has the law of the reference's noisy state.
    law = VP().marginal(reference, torch.tensor(0.5).double())
    half = coarse(seen[9], 2)
    torch.testing.assert_close(half.mean(0), coarse(law.mean, 2)[0], atol=0.2, rtol=0)
    free = simulate(LowPassed(Ancestral(problem.denoiser), reference, 2, until=1.0), x, times, Stream(1))
    assert float((coarse(free, 2) - coarse(reference, 2)).abs().max()) > 0.5
    with pytest.raises(UsageError, match=r"cells lies in 1 \.\. 4, the size of the picture; got 5"):
        LowPassed(Ancestral(problem.denoiser), reference, 5)
    with pytest.raises(UsageError, match="until, the time from which the sample is free"):
        LowPassed(Ancestral(problem.denoiser), reference, 2, until=2.0)


def test_realism_says_how_coarse() -> None:
    c = DiSS(size=16, finest=4)
    assert [c.cells(r) for r in (0.0, 0.5, 1.0)] == [4, 2, 1]
    assert [DiSS(size=32).cells(r) for r in (0.0, 1.0)] == [4, 1]


def test_drawn_from_either_or_both() -> None:
    system = built()
    x = torch.rand(2, 1, 8, 8) * 2 - 1
    lines, stroke = line_art(x), strokes(x, 2)
    both = drawn(system, sketch=lines, stroke=stroke, realism=0.0, steps=3)
    torch.testing.assert_close(strokes(both.tensor, 2), stroke, atol=0.35, rtol=0)
    assert both.provenance["cells"] == 4 and both.provenance["sketch_scale"] == 1.0
    alone = drawn(system, sketch=lines, steps=3)
    assert "stroke_scale" not in alone.provenance and not torch.equal(alone.tensor, both.tensor)
    other = drawn(system, sketch=lines, sketch_scale=2.0, steps=3)
    assert not torch.equal(alone.tensor, other.tensor)
    # The system's own call follows both as strongly as the recipe says, and holds nothing.
    plain = system.sample(2, steps=3, sketch=lines)
    torch.testing.assert_close(plain.tensor, alone.tensor, atol=1e-5, rtol=0)
    keep = torch.ones(1, 1, 8, 8)
    keep[..., 4:] = 0
    edited = drawn(system, sketch=lines, stroke=stroke, picture=x, keep=keep, steps=3)
    torch.testing.assert_close(edited.tensor[..., :4], x[..., :4])
    one = drawn(system, sketch=lines[1:], stroke=stroke[1:], realism=0.0, steps=3, seed=1)
    torch.testing.assert_close(one.tensor, both.tensor[1:], atol=1e-5, rtol=0)


def test_trained_saved_loaded_and_drawn(tmp_path: Path) -> None:
    data = Images(np.random.default_rng(0).integers(0, 256, (16, 1, 8, 8), dtype=np.uint8), name="noise")
    settings = {k: v for k, v in TINY.items() if k not in ("size", "channels")} | {"batch": 8}
    trained, result = ornstein.train("diss", data=data, out=tmp_path / "run", settings=settings, steps=2)
    loaded = ornstein.load(tmp_path / "run")
    lines = line_art(torch.rand(2, 1, 8, 8) * 2 - 1)
    a, b = (drawn(s, sketch=lines, steps=2).tensor for s in (trained, loaded))
    assert np.isfinite(result.loss) and torch.equal(a, b)


def test_what_drawing_refuses() -> None:
    system, lines, stroke = built(), torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    with pytest.raises(UsageError, match="give a sketch, strokes, or both"):
        drawn(system)
    with pytest.raises(UsageError, match=r"realism lies in \[0, 1\], got 1.5"):
        drawn(system, stroke=stroke, realism=1.5)
    with pytest.raises(UsageError, match="how little of the strokes is held, and there are none"):
        drawn(system, sketch=lines, realism=0.5)
    with pytest.raises(UsageError, match="give both the picture and what of it to keep"):
        drawn(system, sketch=lines, picture=stroke)
    with pytest.raises(UsageError, match="steps must be at least 1, got 0"):
        drawn(system, sketch=lines, steps=0)
    with pytest.raises(DataError, match=r"sketch takes floats \(1, 8, 8\)"):
        drawn(system, sketch=torch.zeros(1, 1, 4, 4))
    with pytest.raises(DataError, match=r"the picture must be \(1, 8, 8\), got \(3, 8, 8\)"):
        drawn(system, sketch=lines, picture=torch.zeros(1, 3, 8, 8), keep=torch.ones(1))
    with pytest.raises(CapabilityError, match="'ddpm' is told neither sketches nor strokes"):
        drawn(house.build("ddpm", settings={"size": 8, "widths": (16,)}), sketch=lines)
    with pytest.raises(CapabilityError, match=r"draws from sketches and strokes, and .* measures neither"):
        system.both[0].of_measurement(Measurement(stroke, JPEG(50)))
    for name, value, words in (
        ("realism", -0.1, r"realism lies in \[0, 1\], got -0.1"),
        ("block", 3, "a size of 8 does not divide into blocks of 3"),
        ("finest", 9, r"finest lies in 0 \.\. 8"),
    ):
        with pytest.raises(UsageError, match=words):
            built(**{name: value})


def test_seeds_stay_their_own() -> None:
    """The noise on the reference is each sample's own."""
    problem = exact.gaussian(VP(), torch.tensor(0.0).double(), torch.tensor(1.0).double())
    move = LowPassed(Ancestral(problem.denoiser), torch.zeros(1, 1, 4, 4).double(), 2)
    x, times = torch.zeros(3, 1, 4, 4).double(), torch.linspace(1, 0, 6).double()
    whole = simulate(move, x, times, Rng([4, 5, 6]))
    torch.testing.assert_close(simulate(move, x[:1], times, Rng([5])), whole[1:2])
