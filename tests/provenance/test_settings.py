"""Settings in files: written by us or by others, read back, damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from ornstein.core.errors import DataError, UsageError
from ornstein.provenance import parse_parameters, read_settings
from ornstein.recipes.samples import parameters_line, write_picture
from provenance.pictures import ABOUT

A1111 = """a red fox, (snow:1.2), "quoted"
second line
Negative prompt: blurry
Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7.5, Seed: 41, Size: 512x512, Model: m, Lora hashes: "a: 1, b: 2", Version: 1.9"""


def chunk(path: Path, name: str, text: str) -> Path:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(name, text)
    Image.new("L", (8, 8)).save(path, pnginfo=info)
    return path


@pytest.mark.parametrize("format", ["png", "jpg", "jpeg", "webp"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_settings_come_back(format: str, mode: str, tmp_path: Path) -> None:
    about: dict[str, Any] = {**ABOUT, "prompt": "ein Füchslein, 狐", "negative": "blurry"}
    path = tmp_path / f"a.{format}"
    write_picture(Image.new(mode, (16, 16), "grey"), path, about)
    found = read_settings(path)
    assert found is not None and found.source == "ornstein" and found.values == about


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown format of pictures 'bmp': did you mean 'webp'"):
        write_picture(Image.new("L", (8, 8)), tmp_path / "a.bmp", ABOUT)
    assert not list(tmp_path.iterdir())


def test_settings_of_other_tools(tmp_path: Path) -> None:
    found = read_settings(chunk(tmp_path / "a.png", "parameters", A1111))
    assert found is not None and found.source == "parameters"
    assert found.values == {
        "prompt": 'a red fox, (snow:1.2), "quoted"\nsecond line', "negative": "blurry", "steps": 20,
        "sampler": "DPM++ 2M Karras", "guidance": 7.5, "seed": 41, "Size": "512x512", "recipe": "m",
        "Lora hashes": "a: 1, b: 2", "software": "1.9",
    }  # fmt: skip


def test_our_line_is_read_as_others_are() -> None:
    about = {**ABOUT, "prompt": "a fox", "negative": "snow"}
    found = parse_parameters(parameters_line(about))
    assert found["prompt"] == "a fox" and found["negative"] == "snow"
    assert {k: found[k] for k in ("seed", "steps", "sampler", "grid", "guidance")} == {
        k: ABOUT[k] for k in ("seed", "steps", "sampler", "grid", "guidance")
    }
    assert parameters_line(ABOUT).startswith("fox\nSteps: 12")


@pytest.mark.parametrize("text", ["", "hello", "Copyright: me, Steps are nice", "\n\n"])
def test_lines_that_are_none(text: str, tmp_path: Path) -> None:
    assert parse_parameters(text) == {}
    if text:
        assert read_settings(chunk(tmp_path / "a.png", "parameters", text)) is None


def test_numbers_that_cannot_be_read_are_left_out() -> None:
    assert parse_parameters("Steps: many, Seed: 4, CFG scale: x") == {"seed": 4}


def test_a_picture_without_settings(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    assert read_settings(tmp_path / "a.png") is None
    assert read_settings(Image.new("L", (8, 8))) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{not json", r"a\.png are damaged"),
        ("[1]", "a list, not a table of names"),
        ("[" * 100_000, "damaged"),
        ('"' + "x" * 2**20 + '"', "letters, more than"),
    ],
)
def test_damaged_settings(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_settings(chunk(tmp_path / "a.png", "ornstein", text))


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no picture at"):
        read_settings(tmp_path / "none.png")
    (tmp_path / "a.png").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"a\.png is not a picture"):
        read_settings(tmp_path / "a.png")


def test_a_bomb_is_not_decoded(tmp_path: Path) -> None:
    """A head that declares 30,000 x 30,000 pixels."""
    import struct
    import zlib

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    part = b"IHDR" + head
    crc = struct.pack(">I", zlib.crc32(part))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + part + crc)
    with pytest.raises(DataError, match=r"a\.png"):
        read_settings(tmp_path / "a.png")
