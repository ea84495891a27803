"""Trajectories and explanations as the page shows them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import torch

from ornstein.core.errors import CapabilityError, UsageError
from ornstein.studio.core import Studio
from ornstein.studio.parts import explaining, walking
from ornstein.studio.parts.generating import Asked


@pytest.fixture(scope="module")
def way(studio: Studio, tiny: Path) -> walking.Way:
    return walking.follow(studio, Asked(str(tiny), label="square", sampler="heun", steps=6, guidance=2.0, seed=9))


def test_a_way_has_a_frame_for_each_state(studio: Studio, tiny: Path, way: walking.Way) -> None:
    assert len(way) == 7 and way.states.shape == way.means.shape == (7, 3, 8, 8)
    drawn = studio.system(str(tiny)).sample(1, seed=9, sampler="heun", steps=6, guidance=2.0, label="square")
    assert torch.equal(way.states[-1], drawn.bytes[0])
    assert torch.equal(way.means[-1], way.states[-1])
    assert len(way.norms) == 7 and all(v > 0 for v in way.norms[:-1])


def test_frames_and_curves(way: walking.Way) -> None:
    assert walking.frame(way, 3).count("<img") == 2
    assert walking.frame(way, 99) == walking.frame(way, 6)
    curves = walking.curves(way, 3)
    assert curves.count("<svg") == 2 and curves.count("o-at") == 2 and "times the straight one" in curves
    assert walking.strip(way).count("<img") == 2 * 7 and walking.strip(way, 3).count("<img") == 2 * 3


def test_attention_is_drawn(way: walking.Way) -> None:
    html = walking.looks(way, 2, 0.5, 0.25)
    assert "row 4, column 2" in html and "layers" in html


@pytest.mark.filterwarnings("ignore")
def test_words_have_maps(tmp_path: Path) -> None:
    """A folder of Stable Diffusion's form: a map for each word, what the prompt does, and its guidance."""
    from interop.makers import stable_diffusion

    folder = str(stable_diffusion(tmp_path / "sd"))
    with Studio([folder]) as studio:
        asked = Asked(folder, prompt="low cat", steps=2, guidance=3.0, n=1)
        html = walking.looks(walking.follow(studio, asked), 1, 0.5, 0.5)
        assert re.findall("<figcaption>(.*?)</figcaption>", html)[1:] == ["low", "c", "a", "t"]
        assert explaining.condition(studio, asked).count("<img") == 3
        assert explaining.strengths(studio, asked, [1.0, 3.0]).count("<figure") == 2


def test_pictures_only(studio: Studio, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = dataclasses.replace(studio.system(str(tiny)), data_shape=(192,))
    monkeypatch.setitem(studio._systems, str(tiny), flat)
    with pytest.raises(CapabilityError, match="for pictures"):
        walking.follow(studio, Asked(str(tiny)))


def test_the_influence_of_a_label(studio: Studio, tiny: Path) -> None:
    html = explaining.condition(studio, Asked(str(tiny), label="square", steps=3, sampler="ddim"))
    assert "with &#x27;square&#x27;" in html and html.count("<img") == 3 and "<polyline" in html
    with pytest.raises(UsageError, match="choose one label"):
        explaining.condition(studio, Asked(str(tiny)))


def test_strengths_of_guidance(studio: Studio, tiny: Path) -> None:
    html = explaining.strengths(studio, Asked(str(tiny), label="square", steps=2, sampler="ddim"), [1.0, 3.0])
    moved = [float(m) for m in re.findall(r"moved by (\d+\.\d+)<", html)]
    assert moved[0] == 0 and moved[1] > 0
    assert explaining.scales_of("0, 1.5,") == [0, 1.5]
    for text in ("strong", " "):
        with pytest.raises(UsageError, match="guidance"):
            explaining.scales_of(text)


def test_neighbours_among_training_images(studio: Studio) -> None:
    """The digits are 8 x 8 and grey; a model of those is asked for."""
    import ornstein

    model = ornstein.build(
        "edm", settings={"size": 8, "channels": 1, "widths": (8,), "blocks": 1, "attention": (), "classes": ()}
    )
    studio._systems["digits-model"] = model
    studio._what["digits-model"] = "digits-model"
    html = explaining.nearest(studio, Asked("digits-model", n=2, steps=2, sampler="ddim"), "digits")
    assert "none of 2 is a copy" in html and html.count("<img") == 10 and "1: at" in html
    curves = explaining.noise_levels(studio, "digits-model", "digits")
    assert curves.count("<svg") == 2 and "64 images of digits" in curves
    with pytest.raises(UsageError, match="name the data"):
        explaining.noise_levels(studio, "digits-model", " ")
