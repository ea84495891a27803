"""Folders: classes, order, what is skipped and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ornstein.core.errors import DataError, UsageError
from ornstein.data import DataWarning, read_folder


def picture(path: Path, grey: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (6, 6), grey).save(path)


def values(folder: Path) -> list[int]:
    return read_folder(folder, 2)[0].x[:, 0, 0, 0].tolist()


def test_flat(tmp_path: Path) -> None:
    for i, name in enumerate(["b.png", "a.jpg", "c.PNG"]):
        picture(tmp_path / name, 10 * i)
    images, report = read_folder(tmp_path, 2)
    assert images.labels is None and images.classes == () and images.name == tmp_path.name
    assert images.x[:, 0, 0, 0].tolist() == [10, 0, 20]
    assert str(report) == "3 files read"


def test_classes(tmp_path: Path) -> None:
    """In the order of their names, nested files included; folders without pictures are no classes."""
    picture(tmp_path / "dog" / "x.png", 1)
    picture(tmp_path / "cat" / "deep" / "er" / "y.png", 2)
    picture(tmp_path / "cat" / "z.png", 3)
    (tmp_path / "empty").mkdir()
    (tmp_path / "readme.txt").write_text("no picture")
    images, report = read_folder(tmp_path, 2)
    assert images.classes == ("cat", "dog") and images.labels is not None
    assert images.labels.tolist() == [0, 0, 1] and images.x[:, 0, 0, 0].tolist() == [2, 3, 1]
    assert report.ignored == 1


def test_labels_follow_skipped_files(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png", 1)
    (tmp_path / "a" / "2.png").write_bytes(b"")
    picture(tmp_path / "b" / "1.png", 2)
    with pytest.warns(DataWarning):
        images, _ = read_folder(tmp_path, 2)
    assert images.labels is not None and images.labels.tolist() == [0, 1] and images.x[:, 0, 0, 0].tolist() == [1, 2]


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 5)
    (tmp_path / "._a.png").write_bytes(b"side file")
    picture(tmp_path / ".cache" / "b.png")
    picture(tmp_path / "__MACOSX" / "c.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert values(tmp_path) == [5]


def test_links(tmp_path: Path) -> None:
    """Linked folders are read; one that leads back up ends there."""
    picture(tmp_path / "elsewhere" / "a.png", 7)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "class").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "elsewhere")
    assert values(tmp_path / "set") == [7]


def damaged(folder: Path) -> None:
    picture(folder / "good.png", 9)
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no picture at all")
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "torn.png")
    (folder / "torn.png").write_bytes((folder / "torn.png").read_bytes()[:800])
    (folder / "broken-link.png").symlink_to(folder / "nowhere.png")


def test_damaged_files_are_named_skipped_and_counted(tmp_path: Path) -> None:
    damaged(tmp_path)
    with pytest.warns(DataWarning) as caught:
        images, report = read_folder(tmp_path, 2)
    assert len(images) == report.read == 1
    reasons = {path.name: reason for path, reason in report.skipped}
    assert reasons["empty.png"] == "the file is empty (0 bytes)"
    assert "not a picture in a format" in reasons["text.jpg"] and "damaged" in reasons["torn.png"]
    assert reasons["broken-link.png"] == "it cannot be opened: No such file or directory"
    assert len(caught) == 1 and "4 of 5 files skipped" in str(caught[0].message)
    assert all(name in str(caught[0].message) for name in reasons)


def test_long_reports_are_cut(tmp_path: Path) -> None:
    picture(tmp_path / "good.png")
    for i in range(300):
        (tmp_path / f"{i:03}.png").write_bytes(b"")
    with pytest.warns(DataWarning, match=r"300 of 301 files skipped: .*000\.png.*004\.png.*; and 295 more$"):
        read_folder(tmp_path, 2)


@pytest.mark.parametrize("name", ["empty.png", "text.jpg", "torn.png"])
def test_strict_refuses(tmp_path: Path, name: str) -> None:
    damaged(tmp_path)
    for other in {"empty.png", "text.jpg", "torn.png", "broken-link.png"} - {name}:
        (tmp_path / other).unlink()
    before = list(warnings.filters)
    with pytest.raises(DataError, match=f"{name} cannot be read: .*; mend or remove it"):
        read_folder(tmp_path, 2, strict=True)
    assert warnings.filters == before


def test_nothing_readable(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"no picture in .* can be read: 1 of 1 files skipped: .*a\.png: the file is empty"
    ):
        read_folder(tmp_path, 2)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*absent; check the path"):
        read_folder(tmp_path / "absent", 2)


def test_file_in_place_of_a_folder(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png is a file; give the folder"):
        read_folder(tmp_path / "a.png", 2)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no pictures in .* \(it is empty\); put files there that end in one of .*\.png"
    ):
        read_folder(tmp_path, 2)


def test_folder_of_other_files(tmp_path: Path) -> None:
    for name in ("a.heic", "b.HEIC", "notes", "deep/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match=r"\(it holds 2 \.heic, 1 \.txt, 1 without an ending\)"):
        read_folder(tmp_path, 2)


def test_loose_pictures_beside_classes(tmp_path: Path) -> None:
    picture(tmp_path / "loose.png")
    picture(tmp_path / "cat" / "a.png")
    with pytest.raises(DataError, match=r"both 1 loose pictures and sub-folders with pictures \(cat\); move"):
        read_folder(tmp_path, 2)


def test_progress(tmp_path: Path) -> None:
    for i in range(4):
        picture(tmp_path / f"{i}.png")
    calls: list[tuple[int, int]] = []
    read_folder(tmp_path, 2, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_order_is_that_of_names_whatever_the_threads_do(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(60):
        side = int(rng.integers(2, 200))
        Image.new("L", (side, side), i).save(tmp_path / f"{i:03}.png")
    assert values(tmp_path) == list(range(60))


def test_bad_arguments(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(UsageError, match="size must be at least 1 pixel, got 0"):
        read_folder(tmp_path, 0)
    with pytest.raises(UsageError, match=r"channels must be 1 .*, got 4"):
        read_folder(tmp_path, 2, channels=4)
    with pytest.raises(UsageError, match="unknown crop 'middle'; known: center, squash"):
        read_folder(tmp_path, 2, crop="middle")  # type: ignore[arg-type]
