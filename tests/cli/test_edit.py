"""``ornstein edit``: every task on files, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cli.shell import Outcome, picture
from ornstein.cli.editing import read
from ornstein.data import Images
from ornstein.recipes import house, saved

Call = Callable[..., Outcome]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of colour pictures of two classes."""
    x = np.random.default_rng(0).integers(0, 255, (4, 3, 8, 8), dtype=np.uint8)
    data = Images(x, np.array([0, 1, 0, 1]), ("cat", "dog"))
    folder = tmp_path_factory.mktemp("model") / "m"
    saved.export(house.build("edm", data=data, settings={"widths": (64,), "blocks": 1}), folder)
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A colour picture of the model's size."""
    array = np.random.default_rng(1).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(array).save(path)
    return path


TASKS = {
    "inpaint": ("--box", "2,2,3,3"),
    "superres": ("--scale", 2),
    "colorize": (),
    "deblur": ("--blur", 0.8),
    "denoise": ("--noise", 0.2),
    "uncrop": (),
    "compress": ("--quality", 30),
    "strokes": ("--strength", 0.5, "--label", "dog", "--guidance", 1.5),
    "translate": ("--from-label", "cat", "--label", "dog"),
}


@pytest.mark.parametrize("task", TASKS)
def test_each_task(task: str, ornstein: Call, model: Path, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    n = 1 if task == "translate" else 2
    done = ornstein(
        "edit", model, "--task", task, "--image", photo, *TASKS[task], "-n", n, "--steps", 3, "-o", out, "--json"
    )
    assert done.code == 0, done.err
    about = json.loads(done.out)
    assert len(about["files"]) == n and about["seeds"] == list(range(n))
    first = picture(about["files"][0])
    assert first.size == (8, 8) and json.loads(first.info["ornstein"])["seed"] == 0
    assert picture(about["grid"]).width == (n + 1) * 18 + 2


def test_what_is_known_stays(ornstein: Call, model: Path, photo: Path, tmp_path: Path) -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[3:6, 2:5] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    done = ornstein(
        "edit", model, "--task", "inpaint", "--image", photo, "--mask", tmp_path / "mask.png", "--steps", 3,
        "-o", tmp_path / "out", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    made = np.array(picture(json.loads(done.out)["files"][0]))
    given = np.array(picture(photo))
    known = mask == 0
    assert (made[known] == given[known]).all() and (made[~known] != given[~known]).any()


def test_a_result_depends_on_its_seed_alone(ornstein: Call, model: Path, photo: Path, tmp_path: Path) -> None:
    words = ("edit", model, "--task", "inpaint", "--image", photo, "--box", "0,0,4,8", "--steps", 3, "--json")
    both = json.loads(ornstein(*words, "-n", 2, "-o", tmp_path / "a").out)["files"]
    alone = json.loads(ornstein(*words, "--seed", 1, "-o", tmp_path / "b").out)["files"]
    assert np.abs(np.array(picture(both[1])).astype(int) - np.array(picture(alone[0]))).max() <= 1


def test_between_two_pictures(ornstein: Call, model: Path, photo: Path, tmp_path: Path) -> None:
    done = ornstein(
        "edit",
        model,
        "--task",
        "interpolate",
        "--image",
        photo,
        "--to",
        photo,
        "-n",
        3,
        "--steps",
        3,
        "-o",
        tmp_path / "o",
    )
    assert done.code == 0 and picture(tmp_path / "o" / "grid.png").width == 5 * 18 + 2


def test_what_is_read_into_a_picture_is_said(ornstein: Call, model: Path, tmp_path: Path) -> None:
    Image.new("RGBA", (12, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    soft = np.full((8, 8), 200, np.uint8)
    soft[:, :4] = 0
    Image.fromarray(soft).save(tmp_path / "soft.png")
    done = ornstein(
        "edit", model, "--task", "inpaint", "--image", tmp_path / "clear.png", "--mask", tmp_path / "soft.png", "--steps", 2,
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "is transparent in places; it is taken on white" in done.err
    assert "12 x 8 pixels, fitted to 8 x 8" in done.err
    assert "50.0% of" in done.err and "128 and above is read as white" in done.err


REFUSED = {
    "unknown task 'inpant'.*inpaint": ("--task", "inpant"),
    "needs either --mask FILE .* or --box": ("--task", "inpaint"),
    "--box 4,4,9,2 does not lie within 8 x 8": ("--task", "inpaint", "--box", "4,4,9,2"),
    "takes x,y,w,h in pixels, got 'here'": ("--task", "inpaint", "--box", "here"),
    "every pixel as known|marks no pixel as known": ("--task", "inpaint", "--box", "0,0,8,8"),
    "scale 3 does not divide 8": ("--task", "superres", "--scale", "3"),
    "--strength lies in 0 .. 1": ("--task", "strokes", "--strength", "1.5"),
    "--noise is a standard deviation": ("--task", "denoise", "--noise", "-1"),
    "needs --noise": ("--task", "denoise"),
    "needs --label": ("--task", "translate"),
    "one picture given by --to": ("--task", "interpolate"),
    "unknown label 'bird'; the known ones are cat, dog": ("--task", "strokes", "--label", "bird"),
    "ddrm needs a linear operator, and JPEG is not.*: pigdm": ("--task", "compress", "--method", "ddrm"),
    "dps needs an operator with a derivative, and JPEG rounds.*pigdm": ("--task", "compress", "--method", "dps"),
    "repaint fills in what a mask hides": ("--task", "colorize", "--method", "repaint"),
    "unknown restoration method 'ddmr'.*ddrm": ("--task", "colorize", "--method", "ddmr"),
    "-n must be at least 1": ("--task", "colorize", "-n", "0"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused(message: str, ornstein: Call, model: Path, photo: Path, tmp_path: Path) -> None:
    import re

    done = ornstein("edit", model, "--image", photo, *REFUSED[message], "-o", tmp_path / "out")
    assert done.code in (1, 2) and re.search(message, done.err), done.err
    assert "Traceback" not in done.err


def test_files_that_are_not_there_or_no_pictures(ornstein: Call, model: Path, tmp_path: Path) -> None:
    none = ornstein("edit", model, "--task", "colorize", "--image", tmp_path / "none.png", "-o", tmp_path / "o")
    assert none.code != 0 and "no picture at" in none.err
    (tmp_path / "text.png").write_text("no picture")
    text = ornstein("edit", model, "--task", "colorize", "--image", tmp_path / "text.png", "-o", tmp_path / "o")
    assert text.code != 0 and "text.png is not a picture that is read here" in text.err
    (tmp_path / "empty").mkdir()
    empty = ornstein("edit", model, "--task", "colorize", "--image", tmp_path / "empty", "-o", tmp_path / "o")
    assert empty.code != 0 and "empty" in empty.err


def test_a_mask_of_another_size(ornstein: Call, model: Path, photo: Path, tmp_path: Path) -> None:
    Image.new("L", (9, 8)).save(tmp_path / "m.png")
    done = ornstein(
        "edit", model, "--task", "inpaint", "--image", photo, "--mask", tmp_path / "m.png", "-o", tmp_path / "o"
    )
    assert done.code != 0 and "has 9 x 8 pixels, and the model 8 x 8" in done.err


def test_pictures_larger_than_the_model(ornstein: Call, model: Path, tmp_path: Path) -> None:
    array = np.random.default_rng(2).integers(0, 255, (10, 14, 3), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "wide.png")
    words = ("edit", model, "--image", tmp_path / "wide.png", "--windows", "--steps", 2, "--json")
    done = ornstein(*words, "--task", "inpaint", "--box", "9,2,4,6", "-o", tmp_path / "a")
    assert done.code == 0 and "fitted to" not in done.err, done.err
    made = np.array(picture(json.loads(done.out)["files"][0]))
    changed = (made != array).any(-1)
    assert made.shape == array.shape and changed[2:8, 9:13].any()
    changed[2:8, 9:13] = False
    assert not changed.any()
    large = ornstein(*words, "--task", "superres", "--scale", 2, "-o", tmp_path / "b")
    assert large.code == 0 and picture(json.loads(large.out)["files"][0]).size == (28, 20)


def test_what_windows_refuse(ornstein: Call, model: Path, photo: Path, tmp_path: Path) -> None:
    words = ("edit", model, "--windows", "-o", tmp_path / "o")
    uncrop = ornstein(*words, "--task", "uncrop", "--image", photo)
    assert uncrop.code == 2 and "uncrop puts it into a larger one" in uncrop.err
    Image.new("RGB", (20, 4)).save(tmp_path / "flat.png")
    small = ornstein(*words, "--task", "colorize", "--image", tmp_path / "flat.png")
    assert small.code == 2 and "windows cover larger ones, not 20 x 4" in small.err
    Image.new("RGB", (20, 8)).save(tmp_path / "long.png")
    unlike = ornstein(*words, "--task", "colorize", "--image", tmp_path)
    assert unlike.code == 1 and "long.png has 20 x 8 pixels where" in unlike.err


def test_a_deep_grey_picture_is_read_as_data_are(tmp_path: Path) -> None:
    deep = np.array([[0, 65535], [32896, 16448]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    found = read(tmp_path / "deep.png", 3, (2, 2))
    expected = torch.tensor([[-1.0, 1.0], [32896 / 257 / 127.5 - 1, 16448 / 257 / 127.5 - 1]])
    torch.testing.assert_close(found, expected.expand(3, 2, 2))
