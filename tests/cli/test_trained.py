"""``ornstein sample`` and ``edit`` on systems that were trained for one thing: each in its own form, and what they refuse."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cli.shell import Outcome, picture
from ornstein.cli.finding import numbered, overlay
from ornstein.cli.pictured import told
from ornstein.core.instances import Instances
from ornstein.data import Images, shapes
from ornstein.data.store import save_store
from ornstein.interop.load import load
from ornstein.recipes import house, saved

Call = Callable[..., Outcome]
TINY: dict[str, Any] = {"widths": [16], "blocks": 1, "patch": 1}
SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "fsdm": ("fsdm", TINY | {"code_depth": 1}),
    "imagebart": ("imagebart", {"codec_widths": [8, 8], "codes": 16, "width": 32, "encoder_depth": 1}),
    "diffusion-inst": ("diffusion-inst", {"width": 16, "head": 8, "proposals": 6}),
    "sr3": ("sr3", TINY | {"scale": 2}),
    "srdiff": ("srdiff", TINY | {"scale": 2, "encoder_width": 8, "encoder_blocks": 1}),
    "cdm": ("cdm", TINY | {"scale": 2, "base_sampling_steps": 2}),
    "palette inpaint": ("palette", TINY),
    "palette uncrop": ("palette", TINY | {"task": "uncropping"}),
    "palette colorize": ("palette", TINY | {"task": "colorization"}),
    "palette compress": ("palette", TINY | {"task": "jpeg"}),
    "generative-colorization": ("generative-colorization", TINY),
    "unit-ddpm": ("unit-ddpm", TINY | {"translator_width": 8}),
    "semantic": ("semantic-diffusion-model", {"widths": [16, 16], "regions": 3, "hidden": 8}),
    "diss": ("diss", TINY),
    "dag": ("dag", TINY | {"consistency": 0.0, "prior": 0.0}),
    "latent": ("latent-diffusion", {"codec_widths": [8, 8], "widths": [32], "blocks": 1}),
    "gdmp": ("gdmp", TINY | {"rounds": 1, "purifying_steps": 2}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures: ``photo`` (colour), ``small`` (half its size), ``lines`` (dark on light), ``map`` (regions 0 to 2), ``more/``."""
    root, rng = tmp_path_factory.mktemp("trained"), np.random.default_rng(0)
    colour = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(colour).save(root / "photo.png")
    Image.fromarray(colour[:4, :4]).save(root / "small.png")
    lines = np.full((8, 8), 255, np.uint8)
    lines[4] = 0
    Image.fromarray(lines).save(root / "lines.png")
    Image.fromarray(rng.integers(0, 3, (8, 8), dtype=np.uint8)).save(root / "map.png")
    (root / "more").mkdir()
    for i in range(2):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(root / "more" / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``model(name)``: a folder with the untrained system of that row, exported once."""
    root = tmp_path_factory.mktemp("models")
    x = np.random.default_rng(1).integers(0, 256, (4, 3, 8, 8), dtype=np.uint8)
    data = Images(x, np.array([0, 1, 0, 1]), ("cat", "dog"))

    def make(name: str) -> Path:
        out = root / name.replace(" ", "-")
        if not out.exists():
            recipe, settings = SYSTEMS[name]
            torch.manual_seed(0)
            saved.export(house.build(recipe, data=data, settings=settings), out)
        return out

    return make


FORMS = {
    "edit superres of sr3": ("sr3", "--task superres --scale 2 --image small.png", "trained"),
    "edit superres of srdiff": ("srdiff", "--task superres --scale 2 --image small.png", "trained"),
    "edit superres of cdm": ("cdm", "--task superres --scale 2 --image small.png", "trained"),
    "edit inpaint of palette": ("palette inpaint", "--task inpaint --box 2,2,3,3 --image photo.png", "trained"),
    "edit uncrop of palette": ("palette uncrop", "--task uncrop --box 0,0,8,4 --image photo.png", "trained"),
    "edit colorize of palette": ("palette colorize", "--task colorize --image photo.png", "trained"),
    "edit compress of palette": ("palette compress", "--task compress --image photo.png", "trained"),
    "edit colorize of a picture's lines": (
        "generative-colorization", "--task colorize --image photo.png", "coloured",
    ),
    "edit colorize of drawn lines with a hint": (
        "generative-colorization", "--task colorize --sketch lines.png --hint 200,40,40:0.3", "coloured",
    ),
    "edit colorize by another method": (
        "generative-colorization", "--task colorize --method ddrm --image photo.png", "ddrm",
    ),
    "edit strokes of diss": ("diss", "--task strokes --image photo.png --realism 0.4", "drawn"),
    "edit strokes and lines of diss": ("diss", "--task strokes --image photo.png --sketch lines.png", "drawn"),
    "edit lines of diss": ("diss", "--task strokes --sketch lines.png --guidance 1.5", "drawn"),
    "edit strokes of diss by SDEdit": ("diss", "--task strokes --image photo.png --strength 0.5", "sdedit"),
    "edit a part of a picture by lines": (
        "diss", "--task inpaint --image photo.png --sketch lines.png --box 2,2,3,3", "drawn",
    ),
    "edit inpaint of imagebart": ("imagebart", "--task inpaint --box 0,0,8,4 --image photo.png", "tokens"),
    "edit uncrop of imagebart": ("imagebart", "--task uncrop --image photo.png --label dog", "tokens"),
    "edit inpaint of a latent model": ("latent", "--task inpaint --box 2,2,3,3 --image photo.png", "dps"),
    "edit superres of a latent model": ("latent", "--task superres --scale 2 --image small.png", "dps"),
    "edit translate of unit-ddpm": ("unit-ddpm", "--task translate --label dog --image photo.png", "translated"),
    "edit purify of gdmp": ("gdmp", "--task purify --image photo.png", "purified"),
    "sample fsdm": ("fsdm", "--examples more", "ancestral"),
    "sample semantic-diffusion-model": ("semantic", "--layout map.png", "ancestral"),
    "sample dag": ("dag", "--guidance 0", "ancestral"),
}  # fmt: skip


def words(folder: Path, text: str) -> list[str]:
    """Words of a command, files with their folder."""
    return [str(folder / w) if w.endswith(".png") or w == "more" else w for w in text.split()]


@pytest.mark.parametrize("form", FORMS)
def test_each_form(form: str, ornstein: Call, model: Callable[[str], Path], folder: Path, tmp_path: Path) -> None:
    name, text, how = FORMS[form]
    own = "purify" in text or name in ("imagebart", "unit-ddpm")
    n = 1 if name == "unit-ddpm" else 2
    call = [form.split()[0], str(model(name)), *words(folder, text), "-n", str(n), "-o", str(tmp_path), "--json"]
    done = ornstein(*call, *(() if own else ("--steps", "2")))
    assert done.code == 0, done.err
    about = json.loads(done.out)
    assert how in (about.get("restoration"), about.get("edit"), about.get("sampler"))
    assert about["seeds"] == list(range(n))
    pictures = [file for file in about["files"] if not file.endswith("grid.png")]
    assert [picture(file).size for file in pictures] == [(8, 8)] * n
    assert json.loads(picture(pictures[0]).info["ornstein"])["seed"] == 0


def test_a_result_depends_on_its_seed_alone(
    ornstein: Call, model: Callable[[str], Path], folder: Path, tmp_path: Path
) -> None:
    for name, text in (
        ("diss", "--task strokes --image photo.png --sketch lines.png --steps 2"),
        ("imagebart", "--task inpaint --box 0,0,8,4 --image photo.png"),
        ("generative-colorization", "--task colorize --image photo.png --hint 9,9,200 --steps 2"),
    ):
        call = ("edit", model(name), *words(folder, text), "--json")
        both = json.loads(ornstein(*call, "-n", 2, "--batch", 1, "-o", tmp_path / "a").out)["files"]
        alone = json.loads(ornstein(*call, "--seed", 1, "-o", tmp_path / "b").out)["files"]
        first, second, again = (np.array(picture(p)).astype(int) for p in (*both, *alone))
        assert np.abs(second - again).max() <= 1 < np.abs(first - second).max()


def test_tokens_leave_what_is_known(ornstein: Call, model: Callable[[str], Path], folder: Path, tmp_path: Path) -> None:
    call = ("edit", model("imagebart"), "--task", "inpaint", "--image", folder / "photo.png", "--box", "0,0,8,3")
    done = ornstein(*call, "-o", tmp_path, "--json")
    assert done.code == 0, done.err
    made, given = np.array(picture(json.loads(done.out)["files"][0])), np.array(picture(folder / "photo.png"))
    assert (made[3:] == given[3:]).all() and (made[:3] != given[:3]).any()


def test_strokes_are_followed(ornstein: Call, model: Callable[[str], Path], folder: Path, tmp_path: Path) -> None:
    Image.fromarray(255 - np.array(picture(folder / "photo.png"))).save(tmp_path / "inverse.png")
    made = []
    for i, file in enumerate((folder / "photo.png", tmp_path / "inverse.png")):
        call = (
            "edit",
            model("diss"),
            "--task",
            "strokes",
            "--realism",
            1,
            "--steps",
            2,
            "-o",
            tmp_path / str(i),
            "--json",
        )
        done = ornstein(*call, "--image", file)
        assert done.code == 0, done.err
        made.append(np.array(picture(json.loads(done.out)["files"][0])).astype(int))
    # At realism 1 the mean colour is held; those of a picture and of its inverse add up to white.
    means = [x.mean((0, 1)) for x in made]
    assert (made[0] != made[1]).any() and np.abs(sum(means) - 255).max() < 40


def test_files_become_conditions(model: Callable[[str], Path], folder: Path, tmp_path: Path) -> None:
    few, layouts = load(str(model("fsdm"))), load(str(model("semantic")))
    options = {"examples": folder / "more", "layout": None}
    examples = told(argparse.Namespace(**options), few)["set"]
    first = np.array(picture(folder / "more" / "0.png")).transpose(2, 0, 1) / 127.5 - 1
    assert examples.shape == (2, 3, 8, 8) and np.abs(examples[0].numpy() - first).max() < 1e-6
    regions = np.repeat(np.repeat(np.array(picture(folder / "map.png")), 2, 0), 2, 1)
    large = Image.fromarray(regions).convert("P")
    large.putdata(regions.flatten().tolist())
    large.save(tmp_path / "large.png")  # a palette, and twice the size
    for file in (folder / "map.png", tmp_path / "large.png"):
        layout = told(argparse.Namespace(examples=None, layout=file), layouts)["layout"]
        assert layout.shape == (1, 3, 8, 8)
        assert (layout[0].argmax(0).numpy() == np.array(picture(folder / "map.png"))).all()


def test_lines_are_dark_on_light_or_light_on_dark(
    ornstein: Call, model: Callable[[str], Path], folder: Path, tmp_path: Path
) -> None:
    Image.fromarray(255 - np.array(picture(folder / "lines.png"))).save(tmp_path / "chalk.png")
    call = ("edit", model("generative-colorization"), "--task", "colorize", "--steps", 2)
    dark = ornstein(*call, "--sketch", folder / "lines.png", "-o", tmp_path / "a")
    light = ornstein(*call, "--sketch", tmp_path / "chalk.png", "-o", tmp_path / "b")
    assert dark.code == light.code == 0
    assert (
        "lines.png is mostly light: what is dark is taken as its lines" in dark.err and "mostly light" not in light.err
    )
    grids = [np.array(picture(tmp_path / x / "grid.png"))[2:18, 2:18] for x in ("a", "b")]
    assert (grids[0] == grids[1]).all() and (grids[0][8] == 255).all() and (grids[0][0] == 0).all()


def test_things_are_found(ornstein: Call, model: Callable[[str], Path], folder: Path, tmp_path: Path) -> None:
    call = ("edit", model("diffusion-inst"), "--task", "find", "--score", 0, "--proposals", 5, "--overlap", 1, "--json")
    done = ornstein(*call, "--image", folder / "more", "-o", tmp_path)
    assert done.code == 0, done.err
    about = json.loads(done.out)
    assert [Path(row["image"]).name for row in about["found"]] == ["0.png", "1.png"]
    assert json.loads((tmp_path / "found.json").read_text()) == about["found"]
    for row in about["found"]:
        things = row["things"]
        assert len(things) == 5 and {t["kind"] for t in things} <= {"rectangle", "ellipse"}
        assert [t["score"] for t in things] == sorted((t["score"] for t in things), reverse=True)
        for x, y, w, h in (t["box"] for t in things):
            assert 0 <= x <= x + w <= 8.01 and 0 <= y <= y + h <= 8.01
        assert picture(row["masks"]).size == (8, 8) and picture(row["overlay"]).size == (256, 256)
    alone = ornstein(*call, "--image", folder / "more" / "1.png", "--seed", 1, "-o", tmp_path / "b")
    assert json.loads(alone.out)["found"][0]["things"] == about["found"][1]["things"]


def test_a_map_and_an_overlay_show_the_things() -> None:
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[0, 1:4, 1:4], masks[1, 2:7, 2:7] = True, True
    boxes = torch.tensor([[1, 1, 4, 4], [2, 2, 7, 7]]) / 8
    things = Instances(boxes, torch.tensor([0.9, 0.5]), torch.tensor([0, 1]), masks)
    found = np.array(numbered(things, (8, 8)))
    assert (found[1:4, 1:4] == 1).all() and found[5, 5] == 2 and found[0, 0] == found[7, 7] == 0
    shown = np.array(overlay(torch.full((1, 8, 8), -1.0), things))
    assert shown.shape == (256, 256, 3) and (shown[2, 2] == 0).all() and tuple(shown[32, 40]) == (230, 90, 60)


REFUSED = {
    "finds things in pictures and draws none: ornstein edit .* --task find": ("sample", "diffusion-inst", ""),
    "--examples is for systems that draw more of what they are shown": ("sample", "sr3", "--examples more"),
    "no picture at .*none.png": ("sample", "fsdm", "--examples none.png"),
    "--layout is for systems that fill layouts": ("sample", "fsdm", "--layout map.png"),
    r"photo.png has colours \(RGB\); a layout has one number for each pixel": ("sample", "semantic", "--layout photo.png"),
    "lines.png: a layout holds region 255, and the model knows 0 .. 2": ("sample", "semantic", "--layout lines.png"),
    "fills holes with them: inpaint and uncrop, not deblur": ("edit", "imagebart", "--task deblur --image photo.png"),
    "the chain of 'imagebart' has 3 steps": ("edit", "imagebart", "--task uncrop --image photo.png --steps 7"),
    "fills holes by its tokens; leave --method": ("edit", "imagebart", "--task uncrop --image photo.png --method ddrm"),
    "--guidance: 'imagebart' fills holes": ("edit", "imagebart", "--task uncrop --image photo.png --guidance 2"),
    "marks no pixel as known": ("edit", "imagebart", "--task inpaint --image photo.png --box 0,0,8,8"),
    "'diffusion-inst' finds things in pictures": ("edit", "diffusion-inst", "--task colorize --image photo.png"),
    "score and overlap lie in": ("edit", "diffusion-inst", "--task find --image photo.png --score 3"),
    "one result for each picture": ("edit", "diffusion-inst", "--task find --image photo.png -n 3"),
    "--task find needs --image": ("edit", "diffusion-inst", "--task find --sketch lines.png"),
    "finds nothing in them; train one that does": ("edit", "sr3", "--task find --image photo.png"),
    "trained on a 2x bicubic reduction": ("edit", "sr3", "--task superres --scale 4 --image small.png"),
    "trained for jpeg, not for a grey value": ("edit", "palette compress", "--task colorize --image photo.png"),
    "and not both": ("edit", "generative-colorization", "--task colorize --image photo.png --sketch lines.png"),
    "got 'red'": ("edit", "generative-colorization", "--task colorize --image photo.png --hint red"),
    "3 values in 0 .. 255": ("edit", "generative-colorization", "--task colorize --image photo.png --hint 300,0,0"),
    "a signal above 0": ("edit", "generative-colorization", "--task colorize --image photo.png --hint 3,0,0:2"),
    "--label does not go with --hint": (
        "edit", "generative-colorization", "--task colorize --image photo.png --hint 3,0,0 --label cat",
    ),
    "--realism goes with diss": ("edit", "diss", "--task strokes --sketch lines.png --realism 0.3"),
    r"realism lies in \[0, 1\], got 1.3": ("edit", "diss", "--task strokes --image photo.png --realism 1.3"),
    "--sketch goes with a system that draws from lines": ("edit", "sr3", "--task strokes --image photo.png --sketch lines.png"),
    "--hint goes with generative-colorization": ("edit", "sr3", "--task strokes --image photo.png --hint 1,2,3"),
    "purification goes by the recipe's own": ("edit", "gdmp", "--task purify --image photo.png --strength 0.5"),
    "--sketch is for pictures": ("edit", "sr3", "--task impute --input a.csv --sketch lines.png"),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused(
    message: str, ornstein: Call, model: Callable[[str], Path], folder: Path, tmp_path: Path
) -> None:
    command, name, text = REFUSED[message]
    done = ornstein(command, model(name), *words(folder, text), "-o", tmp_path / "out")
    assert done.code in (1, 2) and re.search(message, done.err), done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("recipe", ["imagebart", "diffusion-inst", "dag"])
def test_training_draws_what_can_be_drawn(recipe: str, ornstein: Call, tmp_path: Path) -> None:
    """Short chains, finders and systems whose guidance is trained last: the strip of samples must not end the training."""
    if recipe == "diffusion-inst":
        data = shapes(16, size=8)
    else:
        x = np.random.default_rng(2).integers(0, 256, (16, 1, 8, 8), dtype=np.uint8)
        data = Images(x, conds={"depth": x.copy()})
    save_store(data, tmp_path / "data")
    settings = dict(SYSTEMS[recipe][1]) | {"batch": 4, "steps": 3}
    settings |= {"autoencoder_steps": 1} if recipe == "imagebart" else {"consistency": 0.1} if recipe == "dag" else {}
    given = [
        w for k, v in settings.items() for w in ("--set", f"{k}={','.join(map(str, v)) if isinstance(v, list) else v}")
    ]
    done = ornstein("train", recipe, "--data", tmp_path / "data", *given, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert ("--task find" in done.out) == (recipe == "diffusion-inst")
    assert (tmp_path / "run" / "samples").exists() == (recipe != "diffusion-inst")
