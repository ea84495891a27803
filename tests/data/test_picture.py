"""The picture of a set shows what is in it."""

from __future__ import annotations

import numpy as np
import pytest

from ornstein.data import KINDS, Arrays, Images
from ornstein.data.picture import picture


def test_images_are_tiled_as_they_are() -> None:
    x = np.zeros((10, 3, 6, 6), np.uint8)
    x[:] = np.arange(10, dtype=np.uint8)[:, None, None, None] * 20
    drawn = picture(Images(x))
    assert drawn is not None and drawn.size == (8 * 8, 2 * 8)
    seen = np.asarray(drawn)
    assert [seen[4, 8 * i + 4, 0] for i in range(8)] == [20 * i for i in range(8)]
    assert seen[12, 4, 0] == 160 and seen[12, 12, 0] == 180 and seen[12, 20, 0] == 255


def test_large_sets_are_shown_from_end_to_end() -> None:
    x = np.arange(200, dtype=np.uint8)[:, None, None, None].repeat(4, 2).repeat(4, 3)
    drawn = picture(Images(x), count=8)
    assert drawn is not None
    assert [int(np.asarray(drawn)[2, 6 * i + 2, 0]) for i in range(8)] == [0, 28, 57, 85, 114, 142, 171, 199]


def test_a_curve_is_where_its_values_are() -> None:
    step = np.zeros((1, 1, 100), np.float32)
    step[..., 50:] = 1
    drawn = picture(Arrays(step))
    assert drawn is not None
    ink = np.argwhere((np.asarray(drawn) == (31, 119, 180)).all(-1))
    left, right = ink[ink[:, 1] < 60], ink[ink[:, 1] > 70]
    assert left[:, 0].min() > 55 and right[:, 0].max() < 10


def test_what_lies_beyond_the_length_is_not_drawn() -> None:
    wave = np.zeros((1, 1, 100), np.float32)
    wave[..., 30:] = 100
    wave[..., 10:20] = 1
    drawn = picture(Arrays(wave, conds={"length": np.array([30])}, of="audio"))
    assert drawn is not None
    ink = np.argwhere((np.asarray(drawn) == (31, 119, 180)).all(-1))
    assert 53 < ink[ink[:, 0] < 10][:, 1].mean() < 75  # the hill is in the middle, and as high as it goes


def test_points_are_seen_from_the_front() -> None:
    cloud = np.array([[[0, 0, 0], [1, 1, 0], [0, 1, 0]]], np.float32)
    drawn = picture(Arrays(cloud, of="points"))
    assert drawn is not None
    dark = {(int(r), int(c)) for r, c in np.argwhere(np.asarray(drawn)[..., 0] < 200)}
    assert dark == {(124, 5), (4, 125), (4, 5)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(kind: str) -> None:
    shape = [3] * len(KINDS[kind].split())
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    drawn = picture(Arrays(x, of=kind))
    assert (drawn is None) == (kind in ("tokens", "vectors"))
    if drawn is not None:
        assert np.asarray(drawn).std() > 0
