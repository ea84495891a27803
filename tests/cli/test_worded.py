"""``ornstein edit`` and ``sample`` on systems that read prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from interop import same
from interop.makers import make
from ornstein.cli import main


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three kinds of networks."""
    root = tmp_path_factory.mktemp("worded")
    with same.quiet():
        return {
            name: make(name, root / name.replace(" ", "-")) for name in ("stable diffusion", "inpainting", "upscale")
        }


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture of the models' size."""
    array = ((same.picture()[0] / 2 + 0.5) * 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("stable diffusion", ["--task", "strokes", "--strength", "0.7", "--sampler", "DPM++ 2M Karras"]),
        ("inpainting", ["--task", "inpaint", "--box", "4,4,8,8"]),
        ("inpainting", ["--task", "uncrop"]),
        ("upscale", ["--task", "superres"]),
    ],
)
def test_a_picture_is_changed(family: str, options: list[str], folders: dict[str, Path], photo: Path) -> None:
    out = photo.parent / "out"
    call = ["edit", str(folders[family]), "--image", str(photo), "--prompt", "a cat", "--steps", "3", "-n", "2"]
    assert main([*call, *options, "-o", str(out)]) == 0
    with Image.open(out / "000000.png") as first, Image.open(out / "000001.png") as second:
        assert first.size == second.size == (16, 16) and first.tobytes() != second.tobytes()
        assert json.loads(first.info["ornstein"])["edit"] == options[1]
    assert (out / "grid.png").is_file()


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        (
            "stable diffusion",
            ["--task", "deblur", "--prompt", "a"],
            "--task deblur is not served for a system that reads",
        ),
        ("stable diffusion", ["--task", "strokes"], "give --prompt"),
        ("stable diffusion", ["--task", "superres", "--prompt", "a"], "this network does not enlarge pictures"),
        ("upscale", ["--task", "strokes", "--prompt", "a"], "this network enlarges pictures: give --task superres"),
        ("inpainting", ["--task", "uncrop", "--prompt", "a", "--strength", "0.5"], "--strength belongs to strokes and"),
    ],
)
def test_what_cannot_be_asked(
    family: str,
    options: list[str],
    message: str,
    folders: dict[str, Path],
    photo: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call = ["edit", str(folders[family]), "--image", str(photo), "-o", str(photo.parent / "out")]
    assert main([*call, *options]) == 2
    assert message in capsys.readouterr().err


def test_prompts_belong_to_systems_that_read(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = [
        "edit",
        "fashion-mnist",
        "--task",
        "strokes",
        "--image",
        str(photo),
        "--prompt",
        "a",
        "-o",
        str(photo.parent),
    ]
    assert main(call) == 2
    assert "--prompt goes with a system that reads prompts" in capsys.readouterr().err


def test_sampling_by_prompt(folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["sample", str(folders["stable diffusion"]), "--prompt", "a cute cat", "--steps", "4", "-n", "2"]
    options = ["--sampler", "ddim", "--clip-skip", "1", "--guidance-rescale", "0.7", "--long-prompts", "chunk"]
    assert main([*call, *options, "--size", "16x24", "-o", str(tmp_path / "out")]) == 0
    with Image.open(tmp_path / "out" / "000001.png") as made:
        assert made.size == (24, 16)
    assert "ddim with 4 steps on the scheduler's grid" in capsys.readouterr().out
    for wrong, message in (("16by24", "--size takes HEIGHTxWIDTH"), ("15x24", "multiples of 2 pixels")):
        assert main([*call, "--size", wrong, "-o", str(tmp_path / "out")]) == 2
        assert message in capsys.readouterr().err
    assert main([*call, "--guidance-rescale", "2", "-o", str(tmp_path / "out")]) == 2
    assert "--guidance-rescale lies in 0 .. 1" in capsys.readouterr().err
