"""Images: what is refused, what indexing returns, what the hash sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ornstein.core.errors import DataError
from ornstein.data import Images, open_data
from ornstein.data.resize import pad


def some(n: int = 6, c: int = 3, labels: bool = True) -> Images:
    x = np.random.default_rng(0).integers(0, 256, (n, c, 4, 5), dtype=np.uint8)
    return Images(x, np.arange(n) % 2 if labels else None, ("a", "b") if labels else (), "some")


def test_rows_and_labels() -> None:
    images = some()
    batch = images[torch.tensor([4, 1])]
    assert batch.x.dtype == torch.uint8 and batch.cond["label"].dtype == torch.int64
    assert np.array_equal(batch.x.numpy(), images.x[[4, 1]]) and batch.cond["label"].tolist() == [0, 1]
    assert images.shape == (3, 4, 5) and len(images) == 6 and dict(some(labels=False)[:2].cond) == {}


def test_a_batch_is_a_copy() -> None:
    images = some()
    before = images.x.copy()
    for index in (slice(0, 2), torch.tensor([0, 1])):
        images[index].x.zero_()
    assert np.array_equal(images.x, before)


@pytest.mark.parametrize("last", [False, True])
def test_memory_map(tmp_path: Path, last: bool) -> None:
    """A read-only file on disk serves as well, whichever axis holds the channels, and torch does not complain."""
    images = some()
    np.save(tmp_path / "x.npy", np.moveaxis(images.x, 1, 3) if last else images.x)
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    mapped = Images(np.moveaxis(stored, 3, 1) if last else stored, images.labels, images.classes)
    for index in (slice(1, 3), torch.tensor([5, 0])):
        assert torch.equal(mapped[index].x, images[index].x) and mapped[index].x.is_contiguous()
    assert mapped.content_hash == images.content_hash


def test_batches_cover_all_once() -> None:
    images = some(7)
    batches = list(images.batches(3))
    assert [len(b) for b in batches] == [3, 3, 1]
    assert np.array_equal(torch.cat([b.x for b in batches]).numpy(), images.x)


def test_take() -> None:
    images = some()
    part = images.take([5, 2])
    assert np.array_equal(part.x, images.x[[5, 2]]) and part.labels is not None and part.labels.tolist() == [1, 0]
    assert part.classes == images.classes


def test_hash_sees_every_part() -> None:
    images = some()
    pixel = images.x.copy()
    pixel[3, 1, 2, 2] ^= 1
    assert images.labels is not None
    label = images.labels.copy()
    label[0] = 1
    others = [
        Images(pixel, images.labels, images.classes),
        Images(images.x, label, images.classes),
        Images(images.x, images.labels, ("a", "c")),
        Images(images.x),
        Images(images.x.reshape(6, 3, 5, 4), images.labels, images.classes),
        images.take(slice(0, 5)),
    ]
    assert len({images.content_hash, *(o.content_hash for o in others)}) == 1 + len(others)
    assert Images(images.x.copy(), images.labels, images.classes, "another name").content_hash == images.content_hash


@pytest.mark.parametrize(
    ("x", "labels", "classes", "message"),
    [
        (
            np.zeros((2, 4, 4), np.uint8),
            None,
            (),
            r"expected uint8 images \[N, C, H, W\], got uint8 of shape \(2, 4, 4\)",
        ),
        (np.zeros((2, 1, 4, 4), np.float32), None, (), "got float32"),
        (np.zeros((0, 1, 4, 4), np.uint8), None, (), "'bad' has no images"),
        (np.zeros((2, 1, 4, 4), np.uint8), None, ("a",), "names 1 classes but has no labels"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(3, int), ("a",), r"must be 2 integers, .* shape \(3,\)"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2), ("a",), "got float64"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.array([0, 2]), ("a", "b"), "run from 0 to 2 but there are 2 classes"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.array([0, -2]), ("a", "b"), "run from -2 to 0"),
    ],
)
def test_bad(x: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Images(x, labels, classes, "bad")


def test_missing_labels_are_allowed() -> None:
    images = Images(np.zeros((2, 1, 4, 4), np.uint8), np.array([0, -1]), ("a",))
    assert images[:].cond["label"].tolist() == [0, -1]


@pytest.mark.parametrize("size", [2, 4, 5])
def test_maps_follow_the_images(size: int) -> None:
    """A map of whole numbers keeps them, and its places are those of the image."""
    regions = np.kron(np.arange(1, 5, dtype=np.uint8).reshape(2, 2), np.ones((4, 4), np.uint8))
    regions = np.pad(regions, ((0, 0), (1, 1)))[None, None].repeat(3, 0)  # 8 x 10: the crop takes the margins away
    images = Images(40 * regions, conds={"regions": regions, "text": np.zeros((3, 2), np.float32)})
    small = open_data(images, size=size)
    assert small.conds["regions"].shape == (3, 1, size, size) and small.conds["text"].shape == (3, 2)
    assert set(np.unique(small.conds["regions"])) == {1, 2, 3, 4}
    if size != 5:
        assert np.abs(small.x.astype(int) - 40 * small.conds["regions"].astype(int)).max() <= 12
    assert small[:].cond["regions"].dtype == torch.int16
    padded = pad(images.take([0]), 12)
    assert np.array_equal(padded.x, 40 * padded.conds["regions"])
