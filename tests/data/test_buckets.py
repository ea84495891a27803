"""Buckets: proportions are kept, every picture comes equally often, a stream resumes."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ornstein.core.errors import DataError, UsageError
from ornstein.data import BucketLoader, DataWarning, Images, bucket_shapes, folder_pictures, read_buckets
from ornstein.data.buckets import nearest_shape


def numbered(sizes: dict[tuple[int, int], int]) -> list[Images]:
    """Sets of each shape; picture i of all has label i."""
    sets, start, total = [], 0, sum(sizes.values())
    for (h, w), n in sizes.items():
        x = np.random.default_rng(start).integers(0, 256, (n, 1, h, w), dtype=np.uint8)
        sets.append(Images(x, np.arange(start, start + n), tuple(map(str, range(total)))))
        start += n
    return sets


SIZES = {(16, 16): 7, (24, 8): 4, (8, 24): 5}


@pytest.mark.parametrize("side", [32, 64, 256])
def test_shapes(side: int) -> None:
    shapes = bucket_shapes(side)
    assert (side, side) in shapes and all(h % 8 == 0 == w % 8 and h * w <= side * side for h, w in shapes)
    assert {(w, h) for h, w in shapes} & set(shapes) and max(max(h / w, w / h) for h, w in shapes) <= 2
    if side == 256:
        assert min(h * w for h, w in shapes) > 0.93 * side * side


def test_nearest() -> None:
    shapes = [(8, 24), (16, 16), (24, 8)]
    assert [nearest_shape(s, shapes) for s in ((100, 100), (300, 100), (100, 310), (120, 100))] == [1, 2, 0, 1]


def test_every_picture_equally_often() -> None:
    loader = BucketLoader(numbered(SIZES), 3, seed=1)
    for _ in range(2):
        seen: Counter[int] = Counter()
        for batch in islice(loader, 16):  # one cycle
            assert batch.x.shape[-2:] in [torch.Size(s) for s in SIZES]
            seen.update(batch.cond["label"].tolist())
        assert set(seen.values()) == {3} and len(seen) == 16


def test_a_bucket_goes_on_where_it_was() -> None:
    """Its batches are numbered without a gap, also from one cycle to the next."""
    loader = BucketLoader(numbered(SIZES), 3, seed=1)
    places = [loader.place(step) for step in range(50)]
    for bucket in range(3):
        numbers = [number for b, number in places if b == bucket]
        assert numbers == list(range(len(numbers))) and len(numbers) > 8


def test_resume_and_shares() -> None:
    def loader(rank: int = 0, world: int = 1) -> BucketLoader:
        return BucketLoader(numbered(SIZES), 4, 5, flip=True, rank=rank, world=world)

    whole = list(islice(loader(), 40))
    assert len({tuple(b.x.shape) for b in whole}) == 3
    for stop in (0, 1, 17, 33):
        first, second = loader(), loader()
        list(islice(first, stop))
        second.restore(first.state())
        for a, b in zip(whole[stop:], islice(second, 40 - stop), strict=True):
            assert torch.equal(a.x, b.x) and torch.equal(a.cond["label"], b.cond["label"])
    for a, b, c in zip(whole, loader(0, 2), loader(1, 2), strict=False):
        assert torch.equal(a.x, torch.cat([b.x, c.x]))
    with pytest.raises(DataError, match="seed was 5, is 6"):
        BucketLoader(numbered(SIZES), 4, 6, flip=True).restore(loader().state())


def test_from_a_folder(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    for i, (h, w) in enumerate([(40, 40)] * 3 + [(60, 30)] * 4 + [(30, 66)] * 2 + [(45, 40)]):
        Image.fromarray(np.full((h, w, 3), 10 * i, np.uint8)).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(f"number {i}")
    (folder / "x.png").write_bytes(b"?")
    with pytest.warns(DataWarning, match=r"1 of \d+ files skipped: .*x\.png"):
        sets = read_buckets(folder_pictures(folder), 32, at_least=2)
    texts = {s.shape[1:]: list(s.captions or ()) for s in sets}
    assert sum(map(len, texts.values())) == 10
    tall = next(t for (h, w), t in texts.items() if h > 1.5 * w)
    assert tall == [f"number {i}" for i in (3, 4, 5, 6)] and all(len(t) >= 2 for t in texts.values())
    for s in sets:
        assert s.captions is not None
        assert all((x == 10 * int(text.split()[1])).all() for x, text in zip(s.x, s.captions, strict=True))


def test_bad_arguments() -> None:
    with pytest.raises(UsageError, match="side must be a multiple of 8, got 30"):
        bucket_shapes(30)
    with pytest.raises(UsageError, match="ratio must be at least 1"):
        bucket_shapes(32, ratio=0.5)
    with pytest.raises(UsageError, match="no buckets"):
        BucketLoader([], 4, 0)
    with pytest.raises(DataError, match="has 4 images, fewer than a batch of 5"):
        BucketLoader(numbered(SIZES), 5, 0)
