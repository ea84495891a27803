"""Pictures in zip archives and tar shards: they read as a folder does, and what is wrong is named."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ornstein.core.errors import DataError, UsageError
from ornstein.data import DataWarning, Loader, TarStream, open_data, read_folder


def png(seed: int, size: int = 10) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


def bomb() -> bytes:
    """A PNG of 100,000 x 100,000 grey pixels, 10 GB, in 80 bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def pack_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, contents in files.items():
            archive.writestr(name, contents)
    return path


def pack_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, contents in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))
    return path


CLASSES = {f"{c}/{i}.png": png(10 * k + i) for k, c in enumerate(("cats", "dogs")) for i in range(3)}


@pytest.mark.parametrize("root", ["", "photos/"])
def test_zip_reads_as_the_folder_does(tmp_path: Path, cache: Path, root: str) -> None:
    files = {**CLASSES, "cats/1.txt": b"A red cat.\n", "dogs/notes.md": b"?", "__MACOSX/cats/._1.png": b"x"}
    folder = tmp_path / "photos"
    for name, contents in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(contents)
    expected, report = read_folder(folder, 8)
    found = open_data(pack_zip(tmp_path / "photos.zip", {root + n: c for n, c in files.items()}), size=8)
    assert found.content_hash == expected.content_hash and found.classes == ("cats", "dogs")
    assert found.captions is not None and found.captions[1] == "A red cat." and report.ignored == 1


def test_splits_of_a_zip(tmp_path: Path, cache: Path) -> None:
    path = pack_zip(tmp_path / "a.zip", {"train/0.png": png(0), "train/1.png": png(1), "test/0.png": png(2)})
    assert len(open_data(path)) == 2 and len(open_data(path, split="test")) == 1
    with pytest.raises(DataError, match=r"has no split 'val'; it has test, train"):
        open_data(path, split="val")


@pytest.mark.parametrize("name", ["../../evil.png", "/etc/evil.png", "a/../../evil.png", "C:/evil.png", "..\\evil.png"])
@pytest.mark.parametrize("pack", [pack_zip, pack_tar])
def test_a_path_that_climbs_out(tmp_path: Path, cache: Path, name: str, pack: object) -> None:
    path = pack(tmp_path / f"a.{'zip' if pack is pack_zip else 'tar'}", {"0.png": png(0), name: png(1)})  # type: ignore[operator]
    with pytest.raises(
        DataError, match=r"holds the path '.*evil\.png', which climbs out of the folder; such an archive is not"
    ):
        open_data(path, size=8)
    assert not (tmp_path.parent / "evil.png").exists()


def test_image_bomb(tmp_path: Path, cache: Path) -> None:
    files = {"0.png": png(0), "bomb.png": bomb()}
    sources = (pack_zip(tmp_path / "a.zip", files), pack_tar(tmp_path / "a.tar", files), tmp_path / "folder")
    sources[2].mkdir()
    for name, contents in files.items():
        (sources[2] / name).write_bytes(contents)
    for source in sources:
        with pytest.warns(
            DataWarning, match=r"1 of 2 files skipped: .*bomb\.png: it declares more than 134,217,728 pixels"
        ):
            assert len(open_data(source, size=8)) == 1
        with pytest.raises(DataError, match=r"bomb\.png cannot be read: it declares .*; mend or remove it"):
            open_data(source, size=8, strict=True)


def test_zip_that_declares_too_much(tmp_path: Path, cache: Path) -> None:
    path = pack_zip(tmp_path / "a.zip", {"0.png": png(0), "1.png": png(1)})
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\x01\x02")  # the directory's entry of the second file
    data[place + 24 : place + 28] = struct.pack("<I", 2**31)
    path.write_bytes(data)
    with pytest.warns(DataWarning, match=r"1\.png: it declares 2,147,483,648 bytes, more than 536,870,912"):
        assert len(open_data(path, size=8)) == 1


def test_damaged_zip(tmp_path: Path, cache: Path) -> None:
    path = pack_zip(tmp_path / "a.zip", {"0.png": png(0), "1.png": png(1)})
    data = bytearray(path.read_bytes())
    data[60] ^= 255
    path.write_bytes(data)
    with pytest.warns(DataWarning, match=r"0\.png: it is damaged in the archive: Bad CRC-32"):
        assert len(open_data(path, size=8)) == 1
    path.write_bytes(data[:-30])
    with pytest.raises(DataError, match=r"a\.zip cannot be read as a zip archive \(File is not a zip file\)"):
        open_data(path, size=8)


def test_archives_without_pictures(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DataError, match=r"no pictures in .*a\.zip \(it holds 1 \.txt\)"):
        open_data(pack_zip(tmp_path / "a.zip", {"a.txt": b"?"}))
    with pytest.raises(DataError, match=r"no pictures in .*b\.zip \(it is empty\)"):
        open_data(pack_zip(tmp_path / "b.zip", {}))
    with pytest.raises(DataError, match=r"no sample in .*a\.tar has a picture \(1 have none\); a sample is"):
        open_data(pack_tar(tmp_path / "a.tar", {"a.txt": b"?"}))
    with pytest.raises(DataError, match=r"2 loose pictures and folders"):
        open_data(pack_zip(tmp_path / "c.zip", {"a.png": png(0), "b.png": png(1), "cats/c.png": png(2)}))


def shard(path: Path, start: int, count: int, **extra: bytes) -> Path:
    files: dict[str, bytes] = {}
    for i in range(start, start + count):
        files |= {f"{i:04d}.png": png(i), f"{i:04d}.cls": str(i % 3).encode(), f"{i:04d}.txt": f"number {i}".encode()}
    return pack_tar(path, {**files, **extra})


@pytest.fixture
def shards(tmp_path: Path, cache: Path) -> Path:
    """Four shards of 5, 6, 7 and 8 samples."""
    start, folder = 0, tmp_path / "shards"
    folder.mkdir()
    for number in range(4):
        shard(folder / f"set-{number:02d}.tar", start, 5 + number)
        start += 5 + number
    return folder


def test_samples_of_shards(shards: Path) -> None:
    images = open_data(str(shards / "set-{00..03}.tar"), size=10)
    assert len(images) == 26 and images.name == "set" and images.classes == ("0", "1", "2")
    assert images.labels is not None and images.labels.tolist() == [i % 3 for i in range(26)]
    assert images.captions is not None and list(images.captions) == [f"number {i}" for i in range(26)]
    with Image.open(io.BytesIO(png(17))) as picture:
        assert np.array_equal(images.x[17], np.asarray(picture).transpose(2, 0, 1))
    assert open_data(shards, size=10).content_hash == images.content_hash


def test_json_and_folders(tmp_path: Path, cache: Path) -> None:
    files = {"a.png": png(0), "a.json": json.dumps({"caption": "first", "label": "cat"}).encode()}
    files |= {"b.png": png(1), "b.json": json.dumps({"text": "second", "label": "ant"}).encode(), "c.jpg": png(2)}
    images = open_data(pack_tar(tmp_path / "a.tar", files), size=8)
    assert images.classes == ("ant", "cat") and images.labels is not None and images.labels.tolist() == [1, 0, -1]
    assert images.captions is not None and list(images.captions) == ["first", "second", ""]
    images = open_data(pack_tar(tmp_path / "b.tar", CLASSES), size=8)
    assert (
        images.classes == ("cats", "dogs")
        and images.labels is not None
        and images.labels.tolist() == [0, 0, 0, 1, 1, 1]
    )


def test_a_tar_with_a_missing_member(tmp_path: Path, cache: Path) -> None:
    path = pack_tar(tmp_path / "a.tar", {"0.png": png(0), "0.txt": b"zero", "1.txt": b"one", "1.cls": b"1"})
    message = r"a\.tar/1: the sample has 1\.txt, 1\.cls, but no picture"
    with pytest.warns(DataWarning, match=f"1 of 2 files skipped: .*{message}"):
        assert len(open_data(path, size=8)) == 1
    with pytest.raises(
        DataError, match=r"a\.tar/1 cannot be read: the sample has 1\.txt, 1\.cls, but no picture; mend"
    ):
        open_data(path, size=8, strict=True)
    with pytest.raises(DataError, match=f"{message}; make the shard again, or open it with open_data"):
        TarStream(path, 8)


def test_torn_and_packed_shards(tmp_path: Path, cache: Path) -> None:
    path = shard(tmp_path / "a.tar", 0, 3)
    data = path.read_bytes()
    last = data.rindex(b"\x89PNG")
    path.write_bytes(data[: last + 50])
    with pytest.raises(DataError, match=r"a\.tar ends within its member 0002\.png \(byte \d+ of \d+\)"):
        open_data(path, size=8)
    path.write_bytes(gzip.compress(data))
    with pytest.raises(DataError, match="it is compressed: unpack it with gunzip"):
        open_data(path, size=8)
    path.write_bytes(b"no archive" * 200)
    with pytest.raises(DataError, match="cannot be read as a tar archive"):
        open_data(path, size=8)


def test_missing_shards(shards: Path) -> None:
    (shards / "set-02.tar").unlink()
    with pytest.raises(DataError, match=r"1 of 4 shards missing: .*set-02\.tar; check the path"):
        open_data(str(shards / "set-{00..03}.tar"))
    with pytest.raises(DataError, match=r"1 of 1 shards missing: .*none\.tar"):
        open_data(shards / "none.tar")


def test_a_member_twice(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for _ in range(2):
            info = tarfile.TarInfo("a.png")
            info.size = len(png(0))
            archive.addfile(info, io.BytesIO(png(0)))
    with pytest.raises(DataError, match=r"holds a\.png twice"):
        open_data(path)


def test_a_stream_holds_what_decoding_holds(shards: Path) -> None:
    pattern = str(shards / "set-{00..03}.tar")
    whole, stream = open_data(pattern, size=8), TarStream(pattern, 8)
    assert len(stream) == 26 and stream.blocks == (5, 6, 7, 8) and stream.caption(9) == "number 9"
    for rows in (slice(3, 9), [25, 0, 11]):
        a, b = whole[rows], stream[rows]
        assert torch.equal(a.x, b.x) and torch.equal(a.cond["label"], b.cond["label"])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_is_shuffled_and_resumes(shards: Path, workers: int) -> None:
    pattern = str(shards / "set-{00..03}.tar")

    def loader() -> Loader:
        return Loader(TarStream(pattern, 8, window=2), 4, seed=3, flip=True, workers=workers)

    whole = list(islice(loader(), 20))
    first = loader()
    for _ in islice(first, 9):
        pass
    second = loader()
    second.restore(first.state())
    for a, b in zip(whole[9:], islice(second, 11), strict=True):
        assert torch.equal(a.x, b.x) and torch.equal(a.cond["label"], b.cond["label"])
    assert first.state()["step"] == 9
    order = loader()._order
    assert sorted(order.rows(0, 26)) == list(range(26)) and list(order.rows(0, 26)) != list(order.rows(26, 26))


def test_a_stream_notices_other_shards(shards: Path) -> None:
    pattern = str(shards / "set-{00..03}.tar")
    state = Loader(TarStream(pattern, 8), 4, 0).state()
    shard(shards / "set-03.tar", 50, 8)
    with pytest.raises(DataError, match="the content differs"):
        Loader(TarStream(pattern, 8), 4, 0).restore(state)


def test_bad_arguments(shards: Path) -> None:
    with pytest.raises(UsageError, match="window must be at least 1 shard"):
        TarStream(shards, 8, window=0)
    with pytest.raises(UsageError, match="channels must be 1"):
        TarStream(shards, 8, channels=4)
    with pytest.raises(DataError, match="has no split 'test'"):
        open_data(shards, split="test")
