"""Folders are decoded once, by one process; what changed between runs is said."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ornstein.data.pictures as pictures
from ornstein.core.errors import DataError
from ornstein.data import DataWarning, Images, Loader, open_data
from ornstein.data.changes import what_changed
from ornstein.data.decoded import cached, decoded_dir
from ornstein.data.store import Writer


@pytest.fixture
def folder(tmp_path: Path, cache: Path) -> Path:
    path = tmp_path / "photos"
    path.mkdir()
    for i in range(6):
        picture(path / f"{i}.png", i)
    return path


def picture(path: Path, seed: int) -> None:
    x = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(x).save(path)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is decoded while the test runs."""
    seen: list[object] = []
    real = pictures.decode

    def decode(encoded: pictures.Encoded, size: int) -> Image.Image:
        seen.append(encoded)
        return real(encoded, size)

    monkeypatch.setattr(pictures, "decode", decode)
    return seen


def test_a_folder_is_decoded_once(folder: Path, decoded: list[object]) -> None:
    first = open_data(folder, size=8)
    assert len(decoded) == 6 and isinstance(first.x, np.memmap)
    second = open_data(folder, size=8)
    assert len(decoded) == 6 and np.array_equal(first.x, second.x) and first.content_hash == second.content_hash
    open_data(folder, size=4)
    assert len(decoded) == 12


def test_it_is_what_decoding_into_memory_gives(folder: Path) -> None:
    from ornstein.data import read_folder

    (folder / "2.txt").write_text("two")
    memory, stored = read_folder(folder, 8)[0], open_data(folder, size=8)
    assert memory.content_hash == stored.content_hash and np.array_equal(memory.x, stored.x)
    assert stored.captions is not None and stored.captions[2] == "two" and stored.captions[0] == ""


def test_grey_folders_have_one_channel(folder: Path) -> None:
    for i in range(6):
        Image.fromarray(np.full((9, 9), 40 * i, np.uint8)).save(folder / f"{i}.png")
    stored = open_data(folder, size=8)
    assert stored.shape == (1, 8, 8) and stored.x[:, 0, 0, 0].tolist() == [0, 40, 80, 120, 160, 200]


@pytest.mark.parametrize("change", ["add", "remove", "touch", "caption"])
def test_a_changed_folder_is_decoded_again(folder: Path, decoded: list[object], change: str) -> None:
    before = open_data(folder, size=8)
    if change == "add":
        picture(folder / "6.png", 6)
    elif change == "remove":
        (folder / "0.png").unlink()
    elif change == "touch":
        picture(folder / "0.png", 99)
    else:
        (folder / "0.txt").write_text("zero")
    after = open_data(folder, size=8)
    assert after.content_hash != before.content_hash and len(decoded) > 6


def test_what_was_skipped_is_said_each_time(folder: Path) -> None:
    (folder / "bad.png").write_bytes(b"no picture")
    for _ in range(2):
        with pytest.warns(DataWarning, match="1 of 7 files skipped: .*bad.png: it is not a picture"):
            open_data(folder, size=8)
    with pytest.raises(DataError, match=r"bad\.png cannot be read: it is not a picture"):
        open_data(folder, size=8, strict=True)


def test_two_versions_of_an_origin_are_kept(folder: Path) -> None:
    for i in range(4):
        picture(folder / "0.png", 100 + i)
        os.utime(folder / "0.png", (i, i))
        open_data(folder, size=8)
    assert len([f for f in decoded_dir().iterdir() if not f.name.startswith(".")]) == 2


def test_nothing_is_left_of_a_failure(folder: Path) -> None:
    def build(writer: Writer) -> None:
        writer.add(np.zeros((2, 1, 4, 4), np.uint8))
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        cached("mine", {"a": 1}, 0, build)
    assert not list(decoded_dir().iterdir())


def test_a_cache_that_cannot_be_written(folder: Path, cache: Path) -> None:
    shutil.rmtree(cache)
    cache.write_text("in the way")
    with pytest.warns(DataWarning, match="cannot be kept in .* set ORNSTEIN_CACHE .* decoded anew each time"):
        images = open_data(folder, size=8)
    assert len(images) == 6


def count(folder: Path, out: Path) -> None:
    def decode(encoded: pictures.Encoded, size: int) -> Image.Image:
        (out / f"{os.getpid()}-{Path(str(encoded)).name}").touch()
        return real(encoded, size)

    real = pictures.decode
    pictures.decode = decode  # type: ignore[assignment]
    open_data(folder, size=8)


def test_processes_share_the_work(folder: Path, tmp_path: Path) -> None:
    """Three at once: every picture is decoded by one of them, once."""
    out = tmp_path / "out"
    out.mkdir()
    context = multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of forks with threads
        processes = [context.Process(target=count, args=(folder, out)) for _ in range(3)]
        for process in processes:
            process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(list(out.iterdir())) == 6


def test_a_resumed_stream_says_what_changed(folder: Path) -> None:
    state = Loader(open_data(folder, size=8), 2, 0).state()
    picture(folder / "0.png", 99)
    picture(folder / "new.png", 7)
    (folder / "3.png").unlink()
    with pytest.raises(
        DataError, match=r"1 file \(new\.png\) added; 1 file \(3\.png\) removed; 1 file \(0\.png\) changed"
    ):
        Loader(open_data(folder, size=8), 2, 0).restore(state)


def test_a_version_that_is_gone(folder: Path) -> None:
    state = Loader(open_data(folder, size=8), 2, 0).state()
    (folder / "3.png").unlink()
    shutil.rmtree(decoded_dir())
    with pytest.raises(
        DataError, match=r"images was 6, is 5; the content differs: the earlier content is not in the cache any more"
    ):
        Loader(open_data(folder, size=8), 2, 0).restore(state)


def test_changes_of_arrays() -> None:
    x = np.random.default_rng(0).integers(0, 256, (9, 1, 4, 4), dtype=np.uint8)
    before = Images(x, np.zeros(9, int), ("a", "b"))
    other = x.copy()
    other[[2, 3, 5, 7], 0, 1, 1] ^= 1
    assert what_changed(before, before) == ""
    assert (
        what_changed(before, Images(other, before.labels, before.classes)) == "4 samples (2, 3, 5 and 1 more) changed"
    )
    assert what_changed(before, Images(x, np.ones(9, int), ("a", "b"))) == "labels differ"
    assert what_changed(before, Images(x, before.labels, ("b", "a"))) == "the classes are in another order"
    assert "1 class (c) added" in what_changed(before, Images(x, before.labels, ("a", "b", "c")))
    assert "9 samples before, 8 now" in what_changed(before, before.take(slice(0, 8)))
    assert "shape was (1, 4, 4), is (1, 2, 8)" in what_changed(before, before.with_x(x.reshape(9, 1, 2, 8)))
