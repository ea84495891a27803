"""Stored sets: what is written is what is opened, without reading it; damage is named."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from ornstein.core.errors import DataError
from ornstein.data import Arrays, Captions, Images, Loader, open_store, save_store, verify
from ornstein.data.store import Writer


def some(n: int = 10) -> Images:
    x = np.random.default_rng(0).integers(0, 256, (n, 3, 4, 5), dtype=np.uint8)
    captions = Captions.of([f"Bild {i}, größer" if i % 3 else "" for i in range(n)])
    conds = {"text": np.arange(2 * n, dtype=np.float32).reshape(n, 2)}
    return Images(x, np.arange(n) % 2, ("a", "b"), "some", "somewhere", "free", captions, conds)


def test_what_is_written_is_what_is_opened(tmp_path: Path) -> None:
    images = some()
    stored = open_store(save_store(images, tmp_path / "set"))
    assert isinstance(stored, Images) and isinstance(stored.x, np.memmap) and stored.stored == tmp_path / "set"
    assert np.array_equal(stored.x, images.x) and np.array_equal(stored.labels, images.labels)  # type: ignore[arg-type]
    assert (stored.classes, stored.name, stored.source, stored.licence) == (("a", "b"), "some", "somewhere", "free")
    assert stored.captions is not None and list(stored.captions) == list(images.captions or ())
    assert np.array_equal(stored[[7, 2]].cond["text"].numpy(), images.conds["text"][[7, 2]])
    assert stored.content_hash == images.content_hash


def test_other_data(tmp_path: Path) -> None:
    series = Arrays(np.random.default_rng(0).normal(size=(6, 2, 9)).astype(np.float32), of="audio", hertz=16_000)
    stored = open_store(save_store(series, tmp_path / "set"))
    assert isinstance(stored, Arrays) and stored.kind == "audio" and stored.rate == 16_000
    assert np.array_equal(stored.x, series.x) and stored.content_hash == series.content_hash


def test_opening_does_not_read(tmp_path: Path) -> None:
    """The values may change under the hood, even be a hole in the file: only :func:`verify` looks at them."""
    folder = save_store(some(), tmp_path / "set")
    with (folder / "x.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    expected = some().content_hash
    assert open_store(folder).content_hash == expected
    with pytest.raises(DataError, match=r"x\.npy is damaged: its hash is .* remove the folder .* and it is made again"):
        verify(folder)


def test_an_intact_set_is_verified(tmp_path: Path) -> None:
    verify(save_store(some(), tmp_path / "set"))


@pytest.mark.parametrize("cut", [1, 100])
def test_a_torn_array(tmp_path: Path, cut: int) -> None:
    folder = save_store(some(), tmp_path / "set")
    data = (folder / "x.npy").read_bytes()
    (folder / "x.npy").write_bytes(data[:-cut])
    with pytest.raises(DataError, match=r"x\.npy cannot be read .* remove the folder"):
        open_store(folder)


def test_another_shape_than_stated(tmp_path: Path) -> None:
    folder = save_store(some(), tmp_path / "set")
    np.save(folder / "x.npy", some(9).x)
    with pytest.raises(DataError, match=r"holds uint8 of shape \(9, 3, 4, 5\), but meta.json says"):
        open_store(folder)


def test_another_format(tmp_path: Path) -> None:
    folder = save_store(some(), tmp_path / "set")
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"format": 99}))
    with pytest.raises(DataError, match="stored set of format 99, this version reads 1"):
        open_store(folder)


def test_a_million_images_open_at_once(tmp_path: Path) -> None:
    """Under a second and without being read: the files are holes of 3 GB, and memory does not grow by one of them."""
    folder, shapes = tmp_path / "set", {"x": ("|u1", [1_000_000, 3, 32, 32]), "labels": ("<i8", [1_000_000])}
    folder.mkdir()
    arrays = {}
    for name, (dtype, shape) in shapes.items():
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, tuple(shape))  # does not write what is not set
        arrays[name] = {"dtype": dtype, "shape": shape, "sha256": "0" * 64}
    meta = {"format": 1, "kind": "images", "name": "large", "source": "", "licence": "", "classes": ["a"], "rate": 0.0}
    (folder / "meta.json").write_text(json.dumps({**meta, "alphabet": [], "arrays": arrays}))
    before, start = resident(), time.perf_counter()
    images = open_store(folder)
    assert time.perf_counter() - start < 1
    loader = Loader(images, 64, 0)
    assert next(iter(loader)).x.shape == (64, 3, 32, 32) and len(images) == 1_000_000
    assert resident() - before < 100  # megabytes; most is the order of an epoch


def resident() -> float:
    """Megabytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def test_no_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no stored set: it has no meta\.json"):
        open_store(tmp_path)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    save_store(some(), tmp_path / "set")
    with pytest.raises(DataError, match="exists already; choose another folder"):
        save_store(some(), tmp_path / "set")


def test_parts_of_any_size_make_the_same_files(tmp_path: Path) -> None:
    images = some(23)
    save_store(images, tmp_path / "whole")
    (tmp_path / "parts").mkdir()
    writer = Writer(tmp_path / "parts")
    assert images.labels is not None and images.captions is not None
    for start in range(0, 23, 5):
        rows = slice(start, start + 5)
        conds = {"text": images.conds["text"][rows]}
        writer.add(images.x[rows], images.labels[rows], images.captions[rows], conds)
    writer.finish("images", images.name, images.classes, images.source, images.licence)
    for file in (tmp_path / "whole").iterdir():
        assert file.read_bytes() == (tmp_path / "parts" / file.name).read_bytes(), file.name


def test_parts_must_agree(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.add(np.zeros((2, 1, 4, 4), np.uint8))
    with pytest.raises(ValueError, match="the first samples came with"):
        writer.add(np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2, int))
    with pytest.raises(ValueError, match="expected uint8"):
        writer.add(np.zeros((2, 1, 4, 5), np.uint8))
    writer.close()


def test_captions() -> None:
    captions = Captions.of(["a", "", "größer", "日本"])
    assert list(captions) == ["a", "", "größer", "日本"] and captions[-1] == "日本" and captions[1:3] == ["", "größer"]
    assert list(captions.take(np.array([3, 0]))) == ["日本", "a"] and list(captions.take(slice(1, 3))) == ["", "größer"]
    with pytest.raises(IndexError):
        captions[4]
    with pytest.raises(DataError, match="captions end at byte 3 of 5"):
        Captions(np.zeros(5, np.uint8), np.array([3]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"captions": Captions.of(["a"])}, "has 2 samples and 1 captions"),
        ({"conds": {"text": np.zeros((3, 4))}}, "condition 'text' must be an array of 2 rows"),
        ({"conds": {"label": np.zeros(2)}}, "labels go into labels"),
    ],
)
def test_conditions_fit(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Images(np.zeros((2, 1, 4, 4), np.uint8), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        (np.zeros((2, 3), np.float32), "series", r"series have the axes \[N, C, T\], got shape \(2, 3\); add axes"),
        (np.zeros((2, 3, 4, 5), np.float32), "points", r"merge axes, or give another kind: latents"),
        (np.zeros((2, 3, 4), np.float64), "series", "holds float64; convert to one of uint8"),
        (np.zeros((0, 3, 4), np.float32), "series", "has no samples"),
        (np.zeros((2, 3, 4), np.float32), "serie", "unknown kind of data 'serie': did you mean 'series'"),
    ],
)
def test_arrays_that_cannot_be(x: np.ndarray, kind: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Arrays(x, of=kind)
