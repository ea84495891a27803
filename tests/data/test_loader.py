"""The stream of batches: order, flips, resuming, sharing among processes, speed."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from ornstein.core.batch import Batch
from ornstein.core.errors import DataError, UsageError
from ornstein.data import Arrays, Images, Loader, open_store, save_store
from ornstein.data.order import Order


def numbered(n: int, size: int = 4) -> Images:
    """Image i: its label is i, its pixels tell i and left from right."""
    x = np.zeros((n, 1, size, size), np.uint8)
    x[:, 0, 0, 0] = np.arange(n) + 1
    return Images(x, np.arange(n), tuple(map(str, range(n))), "numbered")


def equal(a: Batch, b: Batch) -> bool:
    return torch.equal(a.x, b.x) and torch.equal(a.cond["label"], b.cond["label"])


def shown(loader: Loader, steps: int) -> list[int]:
    return [i for batch in islice(loader, steps) for i in batch.cond["label"].tolist()]


@pytest.mark.parametrize(("n", "batch"), [(12, 4), (10, 4), (7, 7), (5, 3)])
def test_each_epoch_shows_every_image_once(n: int, batch: int) -> None:
    """Also where batches straddle epochs; and the epochs differ."""
    order = shown(Loader(numbered(n), batch, seed=3), 3 * n)
    epochs = [order[i * n : (i + 1) * n] for i in range(3 * batch)]
    assert all(sorted(epoch) == list(range(n)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs)


def test_order_is_uniform() -> None:
    """Every image is equally often first: chi-square over 6000 epochs, 5 degrees of freedom, p = 1e-4 at 25.7."""
    loader = Loader(numbered(6), 6, seed=0)
    first = np.bincount([loader.batch_at(e).cond["label"][0] for e in range(6000)], minlength=6)
    assert ((first - 1000) ** 2 / 1000).sum() < 25.7


def test_seed_decides() -> None:
    images = numbered(50)
    assert shown(Loader(images, 8, 1), 20) == shown(Loader(images, 8, 1), 20)
    assert shown(Loader(images, 8, 1), 20) != shown(Loader(images, 8, 2), 20)


def test_flips_mirror_half_of_the_images() -> None:
    plain, flipped = Loader(numbered(60), 20, 5), Loader(numbered(60), 20, 5, flip=True)
    count = 0
    for a, b in zip(islice(plain, 100), islice(flipped, 100), strict=True):
        assert torch.equal(a.cond["label"], b.cond["label"])
        mirrored = (b.x != a.x).flatten(1).any(1)
        assert torch.equal(b.x, torch.where(mirrored[:, None, None, None], a.x.flip(3), a.x))
        count += int(mirrored.sum())
    assert abs(count - 1000) < 4 * np.sqrt(2000 / 4)


def test_flipping_leaves_the_images_alone() -> None:
    images = numbered(8)
    before = images.content_hash
    list(islice(Loader(images, 8, 0, flip=True), 5))
    assert Images(images.x, images.labels, images.classes).content_hash == before


@pytest.mark.parametrize("stop", range(0, 12))
def test_resume_anywhere(stop: int) -> None:
    images = numbered(10)
    whole = list(islice(Loader(images, 4, 7, flip=True), 15))
    first = Loader(images, 4, 7, flip=True)
    for a, b in zip(whole, islice(first, stop), strict=False):
        assert equal(a, b)
    second = Loader(numbered(10), 4, 7, flip=True)
    second.restore(first.state())
    for a, b in zip(whole[stop:], islice(second, 15 - stop), strict=True):
        assert equal(a, b)


def test_state_counts_the_batch_in_use() -> None:
    loader = Loader(numbered(10), 4, 7)
    steps = [loader.state()["step"] for _ in islice(loader, 3)]
    assert steps == [1, 2, 3] and all(type(v) is int for v in loader.state().values())


@pytest.mark.parametrize("world", [1, 2, 3, 6])
def test_parts_of_all_processes_are_the_batch_of_one(world: int) -> None:
    images = numbered(10)
    one = Loader(images, 6, 2, flip=True)
    parts = [Loader(images, 6, 2, flip=True, rank=rank, world=world) for rank in range(world)]
    for whole, *shares in islice(zip(one, *parts, strict=True), 20):
        assert torch.equal(whole.x, torch.cat([s.x for s in shares]))
        assert torch.equal(whole.cond["label"], torch.cat([s.cond["label"] for s in shares]))


def test_resume_on_another_number_of_processes() -> None:
    one = Loader(numbered(10), 6, 2)
    list(islice(one, 4))
    parts = [Loader(numbered(10), 6, 2, rank=rank, world=2) for rank in range(2)]
    for part in parts:
        part.restore(one.state())
    whole, a, b = (next(iter(loader)) for loader in (one, *parts))
    assert torch.equal(whole.x, torch.cat([a.x, b.x]))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Loader(numbered(10), 5, 7), "batch was 4, is 5"),
        (Loader(numbered(10), 4, 8), "seed was 7, is 8"),
        (Loader(numbered(10), 4, 7, flip=True), "flip was 0, is 1"),
        (Loader(numbered(11), 4, 7), "images was 10, is 11"),
        (Loader(Images(numbered(10).x + 1, numbered(10).labels, numbered(10).classes), 4, 7), "the content differs"),
    ],
)
def test_another_stream_is_refused(other: Loader, message: str) -> None:
    with pytest.raises(DataError, match=message):
        other.restore(Loader(numbered(10), 4, 7).state())


def test_state_of_something_else_is_refused() -> None:
    with pytest.raises(DataError, match="has the fields"):
        Loader(numbered(10), 4, 7).restore({"step": 3})


def test_too_few_images() -> None:
    with pytest.raises(DataError, match=r"'numbered' has 10 images, fewer than a batch of 16; lower the batch to 10"):
        Loader(numbered(10), 16, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"seed": -1}, "seed must be >= 0, got -1"),
        ({"world": 3}, "batch of 4 cannot be divided among 3 processes"),
        ({"rank": 2, "world": 2}, r"rank must lie in 0 \.\. 1, got 2"),
    ],
)
def test_bad_arguments(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Loader(numbered(10), **{"batch": 4, "seed": 0, **arguments})  # type: ignore[arg-type]


@pytest.mark.parametrize("flip", [False, True])
def test_speed(flip: bool) -> None:
    """At least 20,000 images of 32 x 32 a second on one core; the best of five, as others may use the machine."""
    x = np.random.default_rng(0).integers(0, 256, (4096, 3, 32, 32), dtype=np.uint8)
    loader = Loader(Images(x), 64, 0, flip)
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        for _ in islice(loader, 50):
            pass
        best = min(best, time.perf_counter() - start)
    assert 50 * 64 / best > 20_000


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_prepare_the_same_batches(workers: int) -> None:
    """Also where the stream is restored while batches lie ready; and the state counts those in use, not those ready."""
    plain, ahead = Loader(numbered(10), 4, 7, flip=True), Loader(numbered(10), 4, 7, flip=True, workers=workers)
    whole = list(islice(plain, 12))
    stream = iter(ahead)
    for step, expected in enumerate(whole[:8], 1):
        assert equal(next(stream), expected) and ahead.state()["step"] == step
    ahead.restore({**ahead.state(), "step": 2})
    for expected in whole[2:]:
        assert equal(next(stream), expected)


def test_a_failing_thread_is_heard() -> None:
    images = numbered(10)
    loader = Loader(images, 4, 0, workers=1)
    loader.images = images.take(slice(0, 5))  # rows beyond the end are asked for
    with pytest.raises(IndexError):
        list(islice(loader, 5))


def test_blocks_are_shown_a_few_at_a_time() -> None:
    """Every epoch shows every sample once; each window of two blocks is shown before the next is begun."""
    order = Order(20, seed=1, stream=0, blocks=(3, 5, 2, 4, 6), window=2)
    block = np.repeat(np.arange(5), (3, 5, 2, 4, 6))
    seen, runs = set(), []
    for epoch in range(50):
        rows = order.rows(20 * epoch, 20)
        assert sorted(rows) == list(range(20))
        turns = [set(part) for part in np.split(block[rows], np.flatnonzero(np.diff(_window_of(block[rows]))) + 1)]
        assert sorted(len(turn) for turn in turns) == [1, 2, 2]
        seen.add(tuple(rows))
        runs.append(1 + np.count_nonzero(np.diff(block[rows])))
    assert len(seen) == 50 and np.mean(runs) > 7  # the blocks of a window are mixed; one after another they would be 5
    assert np.array_equal(
        order.rows(13, 30), np.concatenate([order.rows(13, 7), order.rows(20, 20), order.rows(40, 3)])
    )


def _window_of(blocks: np.ndarray) -> np.ndarray:
    """The turn of each place: a block belongs to the window in which it is first seen."""
    first: list[int] = list(dict.fromkeys(blocks.tolist()))
    return np.array([first.index(b) // 2 for b in blocks.tolist()])


def test_memory_maps_feed_as_well(tmp_path: Path) -> None:
    images = numbered(12)
    stored = open_store(save_store(images, tmp_path / "set"))
    for a, b in zip(islice(Loader(images, 5, 3), 9), islice(Loader(stored, 5, 3), 9), strict=True):
        assert equal(a, b)


def test_series_are_not_mirrored() -> None:
    series = Arrays(np.zeros((4, 1, 8), np.float32))
    with pytest.raises(UsageError, match="are no images and cannot be mirrored"):
        Loader(series, 2, 0, flip=True)
    assert next(iter(Loader(series, 2, 0))).x.shape == (2, 1, 8)
