"""What ``System.sample`` promises: one seed per sample, labels, guidance, provenance, and errors that say the remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import ornstein
from ornstein.core.errors import CapabilityError, OrnsteinError, UsageError
from ornstein.recipes.system import System
from ornstein.samplers import Step, get

CLASSES = ("cat", "dog", "owl")
SMALL = {"size": 8, "channels": 1, "widths": (64,), "blocks": 1, "patch": 2}


def system(name: str, classes: tuple[str, ...] = CLASSES) -> System:
    """An untrained system whose network says something: its gains, zero at first, are opened."""
    made = ornstein.build(name, settings={**SMALL, "classes": classes})
    with torch.no_grad():
        for key, value in made.modules.named_parameters():
            if key.endswith("gain"):
                value.fill_(0.5)
    return made


@pytest.fixture(scope="module")
def conditional() -> System:
    return system("edm")


@pytest.fixture(scope="module")
def unconditional() -> System:
    return system("flow-matching", ())


@pytest.mark.parametrize("name", ["edm", "ddpm", "ddim", "flow-matching"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_batches_change_nothing(name: str, guidance: float) -> None:
    made = system(name)
    whole = made.sample(64, steps=3, seed=5, batch=64, guidance=guidance)
    for batch in (1, 7, 48) if name == "edm" else (7,):
        part = made.sample(64, steps=3, seed=5, batch=batch, guidance=guidance)
        assert float((part.tensor - whole.tensor).abs().max()) < 1e-4, batch
    later = made.sample(4, steps=3, seed=5 + 60, guidance=guidance)
    assert later.seeds == whole.seeds[60:]
    assert float((later.tensor - whole.tensor[60:]).abs().max()) < 1e-4
    # The network's answer must matter, and so must the seed, or the above says nothing.
    assert float((whole.tensor[0] - whole.tensor[1]).abs().max()) > 0.1
    assert float((made.sample(1, steps=3, seed=5, label=1).tensor - whole.tensor[:1]).abs().max()) > 1e-3


def test_labels_cycle_by_seed(conditional: System) -> None:
    out = conditional.sample(5, steps=1, seed=2)
    assert out.labels == ["owl", "cat", "dog", "owl", "cat"]


def test_labels_by_name_number_and_per_sample(conditional: System) -> None:
    assert conditional.sample(2, steps=1, label="dog").labels == ["dog", "dog"]
    assert conditional.sample(2, steps=1, label=2).labels == ["owl", "owl"]
    assert conditional.sample(3, steps=1, label=["owl", 0, "1"]).labels == ["owl", "cat", "dog"]
    assert conditional.sample(1, steps=1, label=-1).labels == [""]
    named, numbered = (conditional.sample(2, steps=2, label=v).tensor for v in ("dog", 1))
    assert torch.equal(named, numbered)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("cow", "unknown label 'cow'; the known ones are cat, dog, owl"),
        (3, r"label 3 is out of range: 0 .. 2 \(cat, dog, owl\), or -1 for none"),
        (-2, "label -2 is out of range"),
        ("7", "label 7 is out of range"),
        (["cat", "dog", "owl"], "3 labels were given for 2 samples"),
    ],
)
def test_label_errors(conditional: System, label: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        conditional.sample(2, steps=1, label=label)


def test_conditions_that_are_not_declared(conditional: System, unconditional: System) -> None:
    with pytest.raises(UsageError, match="unknown condition 'lable': did you mean 'label'"):
        conditional.sample(1, steps=1, lable="cat")
    with pytest.raises(UsageError, match="takes no conditions, but 'label' was given"):
        unconditional.sample(1, steps=1, label="cat")


def test_guidance(conditional: System, unconditional: System) -> None:
    own = conditional.guidance
    default, named, plain, strong = (conditional.sample(2, steps=2, guidance=g).tensor for g in (None, own, 1.0, 4.0))
    assert torch.equal(default, named)
    assert float((strong - plain).abs().max()) > 1e-3
    with pytest.raises(
        UsageError, match=r"guidance=2 by 'cfg' needs a conditional system; this one .* takes no conditions"
    ):
        unconditional.sample(1, steps=1, guidance=2.0)
    unconditional.sample(1, steps=1, guidance=1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "number of samples must be at least 1, got 0"),
        ({"n": 1, "batch": 0}, "batch must be at least 1, got 0"),
        ({"n": 1, "steps": 0}, "steps must be at least 1, got 0"),
        ({"n": 1, "sampler": "hune"}, "unknown sampler 'hune': did you mean 'heun'"),
        ({"n": 1, "grid": "karas"}, "unknown grid 'karas': did you mean 'karras'"),
        ({"n": 1, "grid": torch.tensor([0.1, 0.5])}, "must decrease"),
        ({"n": 1, "seed": -1}, "seeds must be >= 0"),
    ],
)
def test_arguments_that_cannot_be_meant(unconditional: System, arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        unconditional.sample(**arguments)


def test_sampler_and_grid_are_recorded(unconditional: System) -> None:
    own = unconditional.sample(1, steps=3).provenance
    assert (own["sampler"], own["grid"], own["steps"]) == ("heun", "uniform", 3)
    given = unconditional.sample(1, sampler=get("ddim", options={"eta": 0.5}), grid=torch.tensor([1.0, 0.5, 0.0]))
    about = given.provenance
    assert (about["sampler"], about["grid"], about["steps"], about["options"]) == ("ddim", "given", 2, {"eta": 0.5})


def test_the_recipes_own_sampler() -> None:
    ddpm, ddim = system("ddpm"), system("ddim")
    assert ddpm.sampler.name == "ancestral" and ddim.sampler.name == "ddim"
    quadratic = ornstein.build("ddim", settings={**SMALL, "grid": "quadratic", "eta": 1.0})
    about = quadratic.sample(1, steps=2).provenance
    assert about["grid"] == "quadratic" and about["options"] == {"eta": 1.0}


def test_on_step_sees_every_step_of_every_batch(unconditional: System) -> None:
    seen: list[Step] = []
    unconditional.sample(5, steps=3, batch=2, on_step=seen.append)
    assert [s.index for s in seen] == [0, 1, 2] * 3
    assert [len(s.x) for s in seen] == [2] * 6 + [1] * 3


@torch.no_grad()
def test_clipping_follows_guidance() -> None:
    made = system("ddpm")
    x = 30 * torch.randn(4, 1, 8, 8)
    cond = made.conditions(range(4), {})
    for scale in (1.0, 5.0):
        mean = made.guided(scale)(x, torch.tensor(0.9), cond).mean
        assert float(mean.abs().max()) == 1.0
        assert float(made.denoiser(x, torch.tensor(0.9), cond).mean.abs().max()) > 1.0


def test_files_say_how_they_were_made(conditional: System, tmp_path: Path) -> None:
    out = conditional.sample(2, steps=2, seed=7, guidance=1.5, label=["owl", "cat"])
    paths = out.save(tmp_path / "new" / "folder")
    assert [p.name for p in paths] == ["000007-owl.png", "000008-cat.png"]
    with Image.open(paths[1]) as picture:
        about, line = json.loads(picture.text["ornstein"]), picture.text["parameters"]  # type: ignore[attr-defined]
        assert picture.size == (8, 8)
        pixels = torch.tensor(list(picture.tobytes()), dtype=torch.uint8).reshape(1, 8, 8)
    assert torch.equal(pixels, out.bytes[1])
    assert about == json.loads(json.dumps(out.about(1)))
    assert (about["seed"], about["label"], about["steps"], about["guidance"]) == (8, "cat", 2, 1.5)
    assert line.startswith("cat\nSteps: 2, Sampler: edm_heun") and "Seed: 8" in line and "CFG scale: 1.5" in line

    # What the file says is enough to make the picture again.
    again = ornstein.build(about["recipe"], settings=about["config"])
    again.modules.load_state_dict(conditional.modules.state_dict())
    same = again.sample(
        1, steps=about["steps"], seed=about["seed"], sampler=about["sampler"], grid=about["grid"],
        guidance=about["guidance"], label=about["label"],
    )  # fmt: skip
    assert torch.equal(same.bytes[0], out.bytes[1])


def test_the_grid_is_a_picture_with_provenance(conditional: System, tmp_path: Path) -> None:
    out = conditional.sample(6, steps=1, seed=3)
    path = out.save_grid(tmp_path / "grids" / "g.png", columns=3, pad=1, zoom=2)
    with Image.open(path) as picture:
        assert picture.size == (3 * 17 + 1, 2 * 17 + 1)
        assert json.loads(picture.text["ornstein"])["seeds"] == [3, 8]  # type: ignore[attr-defined]


def test_an_output_folder_that_cannot_be_written(unconditional: System, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    out = unconditional.sample(1, steps=1)
    with pytest.raises(OrnsteinError, match=r"could not write to .*file.*Choose another output folder"):
        out.save(tmp_path / "file")
    with pytest.raises(OrnsteinError, match=r"could not write .*g\.png.*Choose another output path"):
        out.save_grid(tmp_path / "file" / "g.png")


def test_states_that_are_no_images() -> None:
    from ornstein.recipes.samples import Samples

    points = Samples(torch.zeros(2, 3), [0, 1], {}, (), {"software": "ornstein"})
    with pytest.raises(CapabilityError, match=r"shape \(2, 3\) and are not images; use .tensor"):
        points.images  # noqa: B018
