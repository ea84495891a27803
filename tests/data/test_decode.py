"""Every kind of picture against known colours: whole pipeline from file to pixels."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ornstein.core.errors import DataError
from ornstein.data import DataWarning, read_folder

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def pixel(folder: Path, channels: int | None = None) -> tuple[int, ...]:
    """The one picture of a folder of plain pictures, at 4 x 4: its colour."""
    x = read_folder(folder, 4, channels)[0].x
    assert len(x) == 1 and (x == x[:, :, :1, :1]).all()
    return tuple(x[0, :, 0, 0].tolist())


def plain(mode: str, colour: object) -> Image.Image:
    return Image.new(mode, (9, 7), colour)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tiff", "webp", "jpg", "ppm"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}.get(suffix, {})
    plain("RGB", (200, 100, 50)).save(tmp_path / f"a.{suffix}", **options)
    assert np.abs(np.subtract(pixel(tmp_path), (200, 100, 50))).max() <= (2 if suffix == "jpg" else 0)


def test_first_frame(tmp_path: Path) -> None:
    for suffix in ("gif", "tiff", "webp"):
        (tmp_path / suffix).mkdir()
        frames = [plain("RGB", colour) for colour in (RED, GREEN)]
        frames[0].save(tmp_path / suffix / f"a.{suffix}", save_all=True, append_images=frames[1:], lossless=True)
        assert pixel(tmp_path / suffix) == RED


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 77, (77,)),
        ("1", 1, (255,)),
        ("1", 0, (0,)),
        ("LA", (40, 255), (40,)),
        ("LA", (0, 0), (255,)),
        ("LA", (0, 51), (204,)),
        ("RGBA", (255, 0, 0, 255), RED),
        ("RGBA", (255, 0, 0, 0), WHITE),
        ("RGBA", (255, 0, 0, 51), (255, 204, 204)),
    ],
)
def test_modes_of_png(tmp_path: Path, mode: str, colour: object, expected: tuple[int, ...]) -> None:
    plain(mode, colour).save(tmp_path / "a.png")
    assert pixel(tmp_path) == expected


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_palette(tmp_path: Path, suffix: str) -> None:
    picture = plain("P", 1)
    picture.putpalette([*GREEN, *BLUE])
    picture.save(tmp_path / f"a.{suffix}")
    assert pixel(tmp_path) == BLUE


@pytest.mark.parametrize("transparency", [1, bytes([255, 0])])
def test_palette_with_transparency(tmp_path: Path, transparency: int | bytes) -> None:
    """One transparent colour, or an opacity for each: what is transparent becomes white, the rest keeps its colour."""
    for index, expected in ((0, GREEN), (1, WHITE)):
        picture = plain("P", index)
        picture.putpalette([*GREEN, *BLUE])
        picture.save(tmp_path / "a.png", transparency=transparency)
        assert pixel(tmp_path) == expected


def test_transparent_colour_of_rgb(tmp_path: Path) -> None:
    plain("RGB", RED).save(tmp_path / "a.png", transparency=RED)
    assert pixel(tmp_path) == WHITE


@pytest.mark.parametrize("suffix", ["jpg", "tiff"])
def test_cmyk(tmp_path: Path, suffix: str) -> None:
    """Full magenta and yellow are red."""
    plain("CMYK", (0, 255, 255, 0)).save(tmp_path / f"a.{suffix}", quality=100)
    assert np.abs(np.subtract(pixel(tmp_path), RED)).max() <= 2


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize(("value", "expected"), [(0, 0), (257 * 100, 100), (32896, 128), (65535, 255)])
def test_16_bit_grey(tmp_path: Path, suffix: str, value: int, expected: int) -> None:
    Image.fromarray(np.full((7, 9), value, np.uint16)).save(tmp_path / f"a.{suffix}")
    assert pixel(tmp_path) == (expected,)
    assert pixel(tmp_path, channels=3) == (expected,) * 3


@pytest.mark.parametrize(("value", "expected"), [(0.0, 0), (0.2, 51), (1.0, 255), (128.0, 128)])
def test_floats(tmp_path: Path, value: float, expected: int) -> None:
    Image.fromarray(np.full((7, 9), value, np.float32)).save(tmp_path / "a.tiff")
    assert pixel(tmp_path) == (expected,)


def test_32_bit_integers(tmp_path: Path) -> None:
    Image.fromarray(np.full((7, 9), 257 * 9, np.int32)).save(tmp_path / "a.tiff")
    assert pixel(tmp_path) == (9,)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.full((7, 9), 1000, np.float32), "its values run from 1000 to 1000; expected 0 to 1 or 0 to 255"),
        (np.full((7, 9), -1, np.float32), "run from -1 to -1"),
        (np.full((7, 9), np.nan, np.float32), "63 of its 63 values are NaN"),
        (np.full((7, 9), 70000, np.int32), "run from 70000 to 70000; expected 0 to 65535"),
    ],
)
def test_values_that_mean_nothing(tmp_path: Path, values: np.ndarray, reason: str) -> None:
    Image.fromarray(values).save(tmp_path / "a.tiff")
    with pytest.raises(DataError, match=reason):
        read_folder(tmp_path, 4)


ORIENTATIONS = {1: None, 2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90"}
ORIENTATIONS |= {7: "TRANSVERSE", 8: "ROTATE_270"}
"""What was done to the upright picture before it was stored (6: turned left, so a viewer turns it right)."""


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_exif_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8, :8], upright[:8, 8:], upright[8:, :8] = RED, GREEN, BLUE
    method = ORIENTATIONS[orientation]
    picture = Image.fromarray(upright)
    stored = picture if method is None else picture.transpose(Image.Transpose[method])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"a.{suffix}", exif=exif, quality=100)
    x = read_folder(tmp_path, 16)[0].x[0].transpose(1, 2, 0).astype(int)
    assert np.abs(x[[3, 3, 12, 12], [3, 12, 3, 12]] - [RED, GREEN, BLUE, (0, 0, 0)]).max() < 30


def test_auto_channels(tmp_path: Path) -> None:
    """Grey only if every picture is; grey among colour is repeated."""
    plain("L", 50).save(tmp_path / "a.png")
    assert read_folder(tmp_path, 4)[0].shape == (1, 4, 4)
    assert read_folder(tmp_path, 4, channels=3)[0].shape == (3, 4, 4)
    plain("RGB", RED).save(tmp_path / "b.png")
    x = read_folder(tmp_path, 4)[0].x
    assert x[:, :, 0, 0].tolist() == [[50, 50, 50], [*RED]]
    assert read_folder(tmp_path, 4, channels=1)[0].x[1, :, 0, 0].tolist() == [76]  # luma of red: 0.299 * 255


def test_center_crop_and_squash(tmp_path: Path) -> None:
    """A wide picture, green in its central square and red beside it."""
    wide = np.full((20, 60, 3), RED, np.uint8)
    wide[:, 20:40] = GREEN
    Image.fromarray(wide).save(tmp_path / "a.png")
    assert pixel(tmp_path) == GREEN
    x = read_folder(tmp_path, 60, crop="squash")[0].x[0]
    assert tuple(x[:, 30, 5]) == RED and tuple(x[:, 30, 30]) == GREEN


def test_reduction_is_antialiased(tmp_path: Path) -> None:
    """Black and white lines of one pixel become their mean, not a pattern of their own."""
    lines = np.zeros((130, 130), np.uint8)
    lines[:, ::2] = 255
    Image.fromarray(lines).save(tmp_path / "a.png")
    x = read_folder(tmp_path, 10)[0].x
    assert np.abs(x - 127.5).max() < 8


@pytest.mark.parametrize("side", [5, 7, 11, 12, 13, 100, 500, 2000])
def test_brightness_and_place_are_kept(tmp_path: Path, side: int) -> None:
    """A plain picture keeps its level exactly, and a ramp the place of its middle, at any scale."""
    Image.new("L", (side, side), 70).save(tmp_path / "a.png")
    assert pixel(tmp_path) == (70,)
    ramp = np.tile(np.linspace(0, 255, side), (side, 1)).astype(np.float32)
    Image.fromarray(ramp).save(tmp_path / "a.tiff")
    (tmp_path / "a.png").unlink()
    x = read_folder(tmp_path, 4)[0].x[0, 0, 0].astype(int)
    assert abs(x.mean() - 127.5) <= 1 and np.abs(x + x[::-1] - 255).max() <= 1 and (np.diff(x) > 0).all()


def test_right_size_is_untouched(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 11, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    assert np.array_equal(read_folder(tmp_path, 8)[0].x[0], noise[:, 1:9].transpose(2, 0, 1))


def test_bomb_is_refused_before_decoding(tmp_path: Path) -> None:
    """A PNG of a hundred bytes that declares 100,000 x 100,000, and one just above the limit."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for side in (100_000, 11_600):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
        with pytest.raises(DataError, match=r"bomb\.png.*declares .* pixels"):
            read_folder(tmp_path, 4, strict=True)


def test_large_photo_is_read_without_a_warning(tmp_path: Path) -> None:
    """Above the size at which Pillow warns, below ours."""
    Image.new("L", (9500, 9500), 70).save(tmp_path / "a.png")
    assert pixel(tmp_path) == (70,)


def test_damage_of_any_kind_is_named(tmp_path: Path) -> None:
    """A valid file cut or overwritten at many places is read or named, never a crash."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))
    plain("RGB", RED).save(tmp_path / "good.png")
    rng = np.random.default_rng(1)
    for suffix in ("png", "jpg", "gif", "bmp", "webp", "tiff"):
        stored = io.BytesIO()
        noise.save(stored, {"jpg": "JPEG"}.get(suffix, suffix.upper()))
        data = np.frombuffer(stored.getvalue(), np.uint8)
        for trial in range(12):
            cut = data[: rng.integers(1, len(data))].copy()
            cut[rng.integers(0, len(cut), 5)] = rng.integers(0, 256, 5)
            (tmp_path / f"{trial:02}.{suffix}").write_bytes(cut.tobytes())
    with pytest.warns(DataWarning, match="files skipped"):
        images, report = read_folder(tmp_path, 8)
    assert report.read == len(images) >= 1 and report.read + len(report.skipped) == 73
