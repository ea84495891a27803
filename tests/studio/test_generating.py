"""Drawing from the page, and settings that come back from a picture."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from PIL import Image, PngImagePlugin

from ornstein.core.errors import DataError, UsageError
from ornstein.serving import JobCancelled
from ornstein.studio.core import Studio, runs
from ornstein.studio.parts import settings
from ornstein.studio.parts.generating import Asked, dice, follow, generate
from ornstein.studio.parts.models import facts_of
from ornstein.studio.views.table import view_of
from ornstein.studio.words import IN_TURN, NO_LABEL, OWN


def asked(tiny: Path, **change: object) -> Asked:
    return dataclasses.replace(Asked(str(tiny), sampler="heun", steps=4, guidance=2.0, n=3, seed=11), **change)


def test_the_page_draws_what_the_library_draws(studio: Studio, tiny: Path) -> None:
    _, moments = generate(studio, asked(tiny, label="square"))
    seen = list(moments)
    samples = seen[-1].samples
    assert samples is not None
    library = studio.system(str(tiny)).sample(3, seed=11, sampler="heun", steps=4, guidance=2.0, label="square")
    assert torch.allclose(samples.tensor, library.tensor, atol=1e-3)
    assert samples.seeds == [11, 12, 13]
    assert {m.step for m in seen[:-1]} == {1, 2, 3, 4}
    assert all(m.preview is not None and m.preview.shape[1:] == (3, 8, 8) for m in seen[:-1])
    assert seen[-2].preview is not None and len(seen[-2].preview) == 3
    assert "3 samples" in seen[-1].line


def test_fields_that_are_left_alone_are_the_models(tiny: Path) -> None:
    request = Asked(str(tiny)).request()
    assert (request.sampler, request.grid, request.steps, request.guidance, request.label) == (None,) * 5
    assert Asked("m", label=NO_LABEL).request().label == -1
    assert Asked("m", label=IN_TURN).request().label is None
    assert Asked("m", prompt=" a fox ").request().conditions == {"prompt": "a fox"}


@pytest.mark.parametrize(
    ("change", "says"),
    [({"n": 0}, "between 1 and 64"), ({"n": 65}, "between 1 and 64"), ({"seed": -1}, "seed"), ({"label": "dog"}, "dog"),
     ({"sampler": "huen"}, "heun"), ({"model": "fashion-mnits"}, "fashion-mnist"), ({"model": " "}, "choose a model")],
)  # fmt: skip
def test_mistakes_are_explained(studio: Studio, tiny: Path, change: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        list(generate(studio, asked(tiny, **change))[1])


def test_a_job_can_be_stopped(studio: Studio, tiny: Path) -> None:
    job, moments = generate(studio, asked(tiny, steps=250))
    next(moments)
    job.cancel()
    with pytest.raises(JobCancelled):
        list(moments)


def test_dice_are_seeds() -> None:
    assert len({dice() for _ in range(20)}) == 20
    assert all(0 <= dice() < 2**31 for _ in range(20))


def test_facts(studio: Studio, tiny: Path) -> None:
    facts = facts_of(studio.system(str(tiny)))
    assert facts.choices == [IN_TURN, NO_LABEL, "circle", "square"]
    assert facts.view == "images" and facts.shape == (3, 8, 8) and facts.steers and not facts.prompts
    assert facts.samplers[0] == OWN and "heun" in facts.samplers and "gddim" not in facts.samplers
    assert "edm" in facts.line and "3 x 8 x 8" in facts.line


def test_a_picture_restores_its_settings(studio: Studio, tiny: Path, tmp_path: Path) -> None:
    made = asked(tiny, label="square", n=1, seed=23, grid="karras")
    samples = follow(generate(studio, made)[0])
    *_, last = samples
    assert last.samples is not None
    shown = view_of(studio.system(str(tiny))).show(last.samples, tmp_path)
    ((path, caption),) = shown.gallery
    assert caption == "square, 23"
    now = Asked("fashion-mnist", n=7)
    back, notes = settings.restored(studio, settings.read(path), now)
    assert back == made and notes == []
    *_, again = generate(studio, back)[1]
    assert again.samples is not None
    assert torch.equal(again.samples.bytes, last.samples.bytes)


def test_what_cannot_be_restored_is_said(studio: Studio, tmp_path: Path) -> None:
    values = {"recipe": "edm", "weights": {"hash": "0" * 64}, "sampler": "of my own", "seed": 5, "restoration": "ddrm"}
    back, notes = settings.restored(studio, values, Asked("fashion-mnist", steps=9))
    assert (back.model, back.seed, back.steps, back.sampler) == ("fashion-mnist", 5, 9, OWN)
    assert len(notes) == 3 and "none of the models" in notes[0] and "of my own" in notes[1] and "ddrm" in notes[2]


def test_pictures_without_settings(tmp_path: Path) -> None:
    plain = tmp_path / "plain.png"
    Image.new("L", (4, 4)).save(plain)
    with pytest.raises(DataError, match="carries no settings"):
        settings.read(plain)
    for text in ("{", json.dumps([1])):
        info = PngImagePlugin.PngInfo()
        info.add_itxt("ornstein", text)
        Image.new("L", (4, 4)).save(plain, pnginfo=info)
        with pytest.raises(DataError, match="damaged"):
            settings.read(plain)
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(DataError, match="not a picture"):
        settings.read(tmp_path / "text.png")


def test_runs_are_offered(tmp_path: Path, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert runs() == []
    (tmp_path / "runs" / "empty" / "checkpoints").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "checkpoints" / "step-1").mkdir(parents=True)
    assert runs() == [Path("runs/mine")]
    assert "runs/mine" in studio.models
    studio._what.pop("runs/mine")
