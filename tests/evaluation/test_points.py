"""Metrics of point clouds and volumes: permutations, closed forms, bad input, files."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation import measure
from ornstein.evaluation.points import (
    Clouds,
    PointSettings,
    chamfer,
    coverage,
    earth_mover,
    jensen_shannon,
    matrix,
    minimum_matching,
    occupancy,
    one_nearest,
    read_clouds,
)
from ornstein.evaluation.voxels import Grids, class_iou, iou, read_grids


def cloud(seed: int, points: int = 40, dims: int = 3) -> Tensor:
    return torch.randn(points, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("distance", [chamfer, earth_mover])
def test_order_does_not_count(distance: object) -> None:
    a, b = cloud(0), cloud(1)
    shuffled = a[torch.randperm(len(a), generator=torch.Generator().manual_seed(2))]
    assert distance(a, shuffled) == 0  # type: ignore[operator]
    assert distance(a, b) == pytest.approx(distance(shuffled, b.flip(0)), rel=1e-12)  # type: ignore[operator]


def test_distances_by_hand() -> None:
    a, b = torch.tensor([[0.0, 0], [4, 0]]), torch.tensor([[1.0, 0], [4, 2]])
    assert chamfer(a, b) == pytest.approx((1 + 4) / 2 + (1 + 4) / 2)
    assert chamfer(a, b[:1]) == pytest.approx((1 + 9) / 2 + 1)
    assert earth_mover(a, b) == pytest.approx((1 + 2) / 2)
    crossing, at = torch.tensor([[0.0], [3]]), torch.tensor([[2.0], [10]])  # the nearest point of both is 2
    assert earth_mover(crossing, at) == pytest.approx(min(2 + 7, 10 + 1) / 2)


def test_a_small_shift_moves_every_point() -> None:
    a = torch.cartesian_prod(*[torch.arange(4.0)] * 3)
    move = torch.tensor([0.1, -0.2, 0.2])
    assert earth_mover(a, a + move) == pytest.approx(0.3, rel=1e-5)
    assert chamfer(a, a + move) == pytest.approx(2 * 0.09, rel=1e-5)


def test_exact_assignment() -> None:
    for seed in range(5):
        a, b = cloud(seed, 6), cloud(100 + seed, 6)
        cost = torch.cdist(a, b)
        best = min(float(cost[torch.arange(6), list(p)].mean()) for p in itertools.permutations(range(6)))
        assert earth_mover(a, b) == pytest.approx(best, rel=1e-9)


def test_sets_by_hand() -> None:
    """Samples at 0, 1, 10 and reference at 0.4, 10.5, 20 on a line."""
    mine, theirs = ([torch.tensor([[v]]) for v in vs] for vs in ((0.0, 1.0, 10.0), (0.4, 10.5, 20.0)))
    cross = matrix(mine, theirs, earth_mover)
    assert minimum_matching(cross) == pytest.approx((0.4 + 0.5 + 10) / 3)
    assert coverage(cross) == pytest.approx(2 / 3)
    # Nearest others: 0 -> 0.4 (ref), 1 -> 0.4 (ref), 10 -> 10.5 (ref); 0.4 -> 0 (sample), 10.5 -> 10, 20 -> 10.5 (ref).
    assert one_nearest(matrix(mine, None, earth_mover), cross, matrix(theirs, None, earth_mover)) == pytest.approx(
        1 / 6
    )


def test_one_nearest_neighbour_of_known_sets() -> None:
    a = [cloud(i, 5) for i in range(8)]
    own, far = matrix(a, None, chamfer), [x + 100 for x in a]
    assert one_nearest(own, matrix(a, far, chamfer), matrix(far, None, chamfer)) == 1
    copies = one_nearest(own, matrix(a, a, chamfer), own)  # a copy is nearer than anything
    assert copies == 0
    equal = torch.ones(8, 8)  # all at one distance: every neighbour counts its share, 7 of 15 of them one's own
    assert one_nearest(equal, equal, equal) == pytest.approx(7 / 15)
    with pytest.raises(DataError, match="got 8 and 7"):
        one_nearest(own, matrix(a, a[:7], chamfer), own[:7, :7])


def test_divergence_by_hand() -> None:
    p, q = torch.tensor([1.0, 0, 0, 3]), torch.tensor([0.0, 5, 0, 0])
    assert jensen_shannon(p, p * 7) == 0 and jensen_shannon(p, q) == pytest.approx(1)
    half = jensen_shannon(torch.tensor([1.0, 0]), torch.tensor([1.0, 1]))
    assert half == pytest.approx(-(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25)) - 0.5)
    x = torch.tensor([[0.0, 0, 0], [0.99, 0, 0], [5, 0, 0], [-1, 0.6, 0]])
    counts = occupancy([x], torch.zeros(3), 1.0, 2)[0].reshape(2, 2, 2).permute(2, 1, 0)
    assert counts[0, 0, 0] == 1 and counts[1, 0, 0] == 2 and counts[0, 1, 0] == 1 and counts.sum() == 4


def test_the_record_of_sets() -> None:
    mine, theirs = Clouds([cloud(i) for i in range(12)]), Clouds([cloud(50 + i) + 0.5 for i in range(10)])
    names = ["sets_cd", "sets_emd", "nna_cd", "nna_emd", "jsd"]
    found = measure(mine, theirs, metrics=names, settings=PointSettings(cells=8))
    assert set(found.values) == {"mmd_cd", "cov_cd", "mmd_emd", "cov_emd", "nna_cd", "nna_emd", "jsd"}
    assert all(0 <= found.errors[name] < 1 for name in found.values) and found.errors["mmd_cd"] > 0
    assert "the first 10 of both" in found.warnings[0] and found.protocol["settings"] == {"points": 0, "cells": 8}
    same = measure(mine, mine, metrics=["sets_cd", "chamfer", "emd", "jsd"]).values
    assert same == {"mmd_cd": 0, "cov_cd": 1, "chamfer": 0, "emd": 0, "jsd": 0}


def test_a_single_point_is_a_cloud() -> None:
    one = Clouds([torch.zeros(1, 3)] * 2)
    assert measure(one, one, metrics=["chamfer", "emd", "jsd"]).values == {"chamfer": 0, "emd": 0, "jsd": 0}


def test_bad_clouds_are_refused() -> None:
    for clouds, words in (
        ([], "no point cloud"),
        ([cloud(0), torch.zeros(0, 3)], "cloud 1 is empty"),
        ([cloud(0), torch.full((2, 3), torch.nan)], "cloud 1 holds NaN"),
        ([cloud(0), cloud(0, dims=2)], "cloud 0 has 3 dimensions and cloud 1 has 2"),
        ([torch.zeros(3)], "must be points"),
    ):
        with pytest.raises(DataError, match=words):
            Clouds(clouds)
    with pytest.raises(DataError, match="there are 40 and 30; draw as many"):
        measure(Clouds([cloud(0)]), Clouds([cloud(0, 30)]), metrics=["emd"])
    with pytest.raises(DataError, match="3 dimensions and the reference has 2"):
        measure(Clouds([cloud(0)]), Clouds([cloud(0, dims=2)]), metrics=["chamfer"])
    with pytest.raises(UsageError, match="900 cells"):
        measure(Clouds([cloud(0)]), Clouds([cloud(1)]), metrics=["jsd"], settings=PointSettings(cells=900))


def test_text_files(tmp_path: Path) -> None:
    (tmp_path / "b.xyz").write_text("2\nmethane, part of it\nC 0.0 0.5 -1e-1\nH 1 2 3\n")
    (tmp_path / "a.xyz").write_text("# x y z red\n1, 2, 3, 255\n\n4 5 6\n")
    found = read_clouds(tmp_path).clouds
    assert found[0].tolist() == [[1, 2, 3], [4, 5, 6]] and found[1].tolist() == [[0, 0.5, -0.1], [1, 2, 3]]
    for name, text, words in (
        ("empty", "", "is empty"),
        ("words", "1 2 3\nfour five six\n", "line 2: three numbers are wanted, got 'four five six'"),
        ("flat", "1 2\n", "line 1: three numbers"),
        ("torn", "5\n\nC 1 2 3\n", "says 5 points and holds 1"),
        ("nan", "nan nan nan\n", "holds NaN"),
    ):
        (tmp_path / f"{name}.pts").write_text(text)
        with pytest.raises(DataError, match=words):
            read_clouds(tmp_path / f"{name}.pts")


def test_arrays(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3, 10, 3)).astype("f4")
    np.savez(tmp_path / "a.npz", points=x, length=[10, 4, 1])
    assert [len(c) for c in read_clouds(tmp_path / "a.npz").clouds] == [10, 4, 1]
    np.savez(tmp_path / "flat.npz", points=x[0])
    with pytest.raises(DataError, match=r"\[N, P, D\]"):
        read_clouds(tmp_path / "flat.npz")


def test_overlap_by_hand() -> None:
    a, b = torch.zeros(2, 2, 2, 2, dtype=torch.long), torch.zeros(2, 2, 2, 2, dtype=torch.long)
    a[0, 0, 0], b[0, 0, :, 0] = 2, torch.tensor([2, 1])  # two cells each, one shared
    assert iou(a, b).tolist() == [pytest.approx(1 / 3), 1.0]
    assert class_iou(a, b).tolist() == [pytest.approx((1 / 2 + 0) / 2), 1.0]
    found = measure(Grids(a), Grids(b), metrics=["voxel_iou", "class_iou"])
    assert found.values == {"voxel_iou": pytest.approx(2 / 3), "class_iou": pytest.approx(5 / 8)}


def test_bad_volumes_are_refused(tmp_path: Path) -> None:
    good = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    for x, words in (
        (good.float(), "x > 0.5"),
        (good[0], "not empty, got"),
        (good[:0], "not empty"),
        (-good.long() - 1, "negative"),
    ):
        with pytest.raises(DataError, match=words):
            Grids(x)
    with pytest.raises(DataError, match="2x2x2 and the reference is 3x3x3"):
        measure(Grids(good), Grids(torch.zeros(1, 3, 3, 3, dtype=torch.bool)), metrics=["voxel_iou"])
    np.savez(tmp_path / "a.npz", voxels=good.numpy())
    assert read_grids(tmp_path / "a.npz").x.shape == good.shape
    np.savez(tmp_path / "f.npz", voxels=good.numpy() / 2)
    with pytest.raises(DataError, match="whole numbers, got float64"):
        read_grids(tmp_path / "f.npz")


def test_some_points_stand_for_all() -> None:
    """Equal clouds stay at distance 0, for they give the same points; distances of few points are larger."""
    g = torch.Generator().manual_seed(0)
    clouds = Clouds(torch.rand(6, 64, 3, generator=g))
    same = measure(clouds, clouds, metrics=["chamfer", "emd"], settings=PointSettings(points=16), draws=0)
    assert same.values == {"chamfer": 0.0, "emd": 0.0} and same.protocol["settings"]["points"] == 16
    other = Clouds(torch.rand(6, 64, 3, generator=g))
    few, all_ = (
        measure(clouds, other, metrics=["chamfer"], settings=PointSettings(points=n), draws=0).values["chamfer"]
        for n in (16, 0)
    )
    assert few > all_
    with pytest.raises(UsageError, match="points must be at least 1, or 0 for all"):
        PointSettings(points=-1)


def test_chamfer_needs_no_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same number, by brute force."""
    g = torch.Generator().manual_seed(1)
    a, b = torch.rand(50, 3, generator=g), torch.rand(40, 3, generator=g)
    found = chamfer(a, b)
    monkeypatch.setitem(sys.modules, "scipy.spatial", None)
    assert chamfer(a, b) == pytest.approx(found, rel=1e-12)
