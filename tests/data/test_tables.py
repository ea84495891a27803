"""Data that are not images go the same way: opened, kept, streamed."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from ornstein.core.errors import DataError, UsageError
from ornstein.data import KINDS, Arrays, Images, Loader, open_data, open_store, open_table, save_store

SHAPES = {
    "audio": (6, 1, 50),
    "latents": (6, 4, 8, 8),
    "points": (6, 32, 3),
    "series": (6, 5, 24),
    "tokens": (6, 12),
    "vectors": (6, 7),
    "video": (6, 5, 3, 8, 8),
    "volumes": (6, 1, 4, 8, 8),
}


def values(kind: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.normal(size=SHAPES[kind]).astype(np.float32)
    return rng.integers(0, 100, SHAPES[kind]) if kind == "tokens" else x


def test_every_kind_has_a_shape_here() -> None:
    assert SHAPES.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_from_file_to_batch(tmp_path: Path, kind: str) -> None:
    x, y = values(kind), np.array([0, 1, 0, 1, -1, 1])
    np.savez(
        tmp_path / "a.npz",
        x=x,
        y=y,
        classes=np.array(["low", "high"]),
        kind=kind,
        rate=8000,
        captions=np.array(list("abcdef")),
    )
    table = open_table(tmp_path / "a.npz")
    assert isinstance(table, Arrays) and table.kind == kind and table.rate == 8000 and table.classes == ("low", "high")
    stored = open_store(save_store(table, tmp_path / "set"))
    assert open_table(tmp_path / "set").content_hash == stored.content_hash == table.content_hash
    for a, b in zip(islice(Loader(table, 4, 1), 5), islice(Loader(stored, 4, 1), 5), strict=True):
        assert torch.equal(a.x, b.x) and torch.equal(a.cond["label"], b.cond["label"])
        rows = [int(np.flatnonzero((x == row).reshape(6, -1).all(1))[0]) for row in a.x.numpy()]
        assert y[rows].tolist() == a.cond["label"].tolist()
    assert table.captions is not None and table.captions[2] == "c"


def test_splits_and_lengths(tmp_path: Path) -> None:
    x = values("audio")
    np.savez(
        tmp_path / "a.npz", x_train=x[:4], x_test=x[4:], length_train=[9, 50, 30, 50], length_test=[1, 2], kind="audio"
    )
    train, test = open_table(tmp_path / "a.npz"), open_table(tmp_path / "a.npz", split="test")
    assert train[[2]].cond["length"].tolist() == [30] and len(test) == 2
    with pytest.raises(DataError, match="has no split 'val'"):
        open_table(tmp_path / "a.npz", split="val")


def test_kind_by_argument(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", values("series"))
    assert open_table(tmp_path / "a.npy", kind="series").kind == "series"
    with pytest.raises(UsageError, match="unknown kind of data 'serie': did you mean 'series'"):
        open_table(tmp_path / "a.npy", kind="serie")
    with pytest.raises(DataError, match=r"points have the axes \[N, P, D\], got shape \(6, 5, 24, 1\)"):
        np.save(tmp_path / "b.npy", values("series")[..., None])
        open_table(tmp_path / "b.npy", kind="points")


def test_values_that_are_no_pictures(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", 9 * values("series"))
    with pytest.raises(
        DataError, match=r"rescale, or save as uint8 .*if they are no pictures, open them with .*open_table"
    ):
        open_data(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", x=values("series"), kind="series")
    with pytest.raises(DataError, match=r"holds series, no images; open it with ornstein\.data\.open_table"):
        open_data(tmp_path / "a.npz")
    save_store(open_table(tmp_path / "a.npz"), tmp_path / "set")
    with pytest.raises(DataError, match=r"'a' holds series of shape \(5, 24\), no images"):
        open_data(tmp_path / "set")


def test_types(tmp_path: Path) -> None:
    for given, kept in (
        ("float64", "float32"),
        ("uint16", "int32"),
        ("uint64", "uint8"),
        ("bool", "uint8"),
        ("int16", "int16"),
    ):
        x = np.arange(10).reshape(2, 5).astype(given)
        if given == "uint16":
            x[0, 0] = 65535
        np.savez(tmp_path / "a.npz", x=x, kind="vectors")
        found = open_table(tmp_path / "a.npz").x
        assert found.dtype.name == kept and np.array_equal(found, x)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite(tmp_path: Path, bad: float) -> None:
    x = values("series")
    x[4, 2, 7] = bad
    np.savez(tmp_path / "a.npz", x=x, kind="series")
    with pytest.raises(DataError, match=r"NaN or infinite, the first in sample 4 at \(2, 7\)"):
        open_table(tmp_path / "a.npz")


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", q=values("series"), kind="series")
    with pytest.raises(DataError, match=r"has the arrays q, kind; name the samples 'x'"):
        open_table(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=np.array(["a", "b"]), kind="tokens")
    with pytest.raises(DataError, match="holds <U1; expected numbers"):
        open_table(tmp_path / "b.npz")
    with pytest.raises(UsageError, match="its kind cannot be chosen"):
        open_table(tmp_path, kind="series")


def test_pictures_open_as_well() -> None:
    assert isinstance(open_table("digits"), Images)
