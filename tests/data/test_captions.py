"""Captions beside pictures: NAME.txt and metadata.jsonl."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ornstein.core.errors import DataError
from ornstein.data import read_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "more/c.png"):
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "p" / name)
    (tmp_path / "p" / "more" / "c.png").rename(tmp_path / "p" / "c.d.png")
    (tmp_path / "p" / "more").rmdir()
    return tmp_path / "p"


def captions(folder: Path) -> list[str] | None:
    found = read_folder(folder, 4)[0].captions
    return None if found is None else list(found)


def test_no_captions(folder: Path) -> None:
    (folder / "README.txt").write_text("not a caption")
    images, report = read_folder(folder, 4)
    assert images.captions is None and report.ignored == 1


def test_text_files(folder: Path) -> None:
    (folder / "b.txt").write_bytes("\ufeffA größer one.\n".encode())
    (folder / "c.d.txt").write_text("dots")
    assert captions(folder) == ["", "A größer one.", "dots"]
    assert read_folder(folder, 4)[1].ignored == 0


def test_metadata(folder: Path) -> None:
    (folder / "metadata.jsonl").write_text(
        '{"file_name": "c.d.png", "text": "third", "w": 1}\n\n{"file_name": "a.png", "caption": "first"}\n'
    )
    assert captions(folder) == ["first", "", "third"]
    (folder / "a.txt").write_text("nearer")
    assert captions(folder) == ["nearer", "", "third"]


def test_not_utf8(folder: Path) -> None:
    (folder / "b.txt").write_bytes(b"first line\ngr\xf6\xdfer")
    with pytest.raises(DataError, match=r"p/b\.txt is not UTF-8: byte 0xf6 in line 2; save it as UTF-8"):
        read_folder(folder, 4)
    (folder / "b.txt").unlink()
    (folder / "metadata.jsonl").write_bytes(b'{"file_name": "a.png", "text": "\xff"}')
    with pytest.raises(DataError, match=r"p/metadata\.jsonl is not UTF-8: byte 0xff in line 1"):
        read_folder(folder, 4)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{'file_name'", r"metadata\.jsonl, line 2 is not JSON"),
        ('["a.png"]', "line 2 names no picture; expected"),
        (
            '{"file_name": "a.png", "title": "x"}',
            r"line 2 has no text; call it 'text' or 'caption' \(it has file_name, title",
        ),
        ('{"file_name": "z.png", "text": "x"}', "line 2 names z.png, which is not there"),
    ],
)
def test_bad_metadata(folder: Path, line: str, message: str) -> None:
    (folder / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "ok"}\n' + line)
    with pytest.raises(DataError, match=message):
        read_folder(folder, 4)
