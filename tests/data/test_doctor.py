"""The doctor of data: every failure is caused, named and given a remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ornstein.core.finding import Finding
from ornstein.data import Arrays, Images
from ornstein.data.doctor import constant, duplicates, empty, examine, labels, numbers, opened, values


def noise(n: int = 40, low: int = 0, high: int = 256) -> np.ndarray:
    """Images of independent pixels."""
    return np.random.default_rng(0).integers(low, high, (n, 1, 8, 8), dtype=np.uint8)


def says(finding: Finding, level: str, *words: str) -> None:
    """The finding has the level, the words, and a remedy if it is bad."""
    assert finding.level == level, finding
    assert all(word in f"{finding.what} {finding.remedy}" for word in words), finding
    assert finding.good or finding.remedy


def test_good_data_pass() -> None:
    images = Images(noise(), np.arange(40) % 2, ("a", "b"))
    assert all(finding.good for finding in examine(images))
    assert len(list(examine(images))) == 4


def test_floats_cut_to_whole_numbers() -> None:
    says(values.check(Images(noise(high=2))), "error", "values are 0 to 1", "multiply by 255")


def test_a_part_of_the_range() -> None:
    """The digits of scikit-learn have 17 grey levels."""
    says(values.check(Images(noise(high=17))), "warning", "0 to 16", "multiply by 15.9")
    says(values.check(Images(noise(low=100, high=150))), "warning", "100 to 149", "stretch them")
    says(values.check(Images(noise(high=65))), "ok")


def test_near_empty_images() -> None:
    x = noise(2500)
    x[[3, 7, 2300]] = 200
    x[7, 0, 0, 0] = 205
    says(empty.check(Images(x)), "warning", "3 of 2500", "images 3, 7, 2300", "remove")
    x[:] = 9
    says(empty.check(Images(x)), "error", "2500 of 2500")


def test_a_picture_in_one_channel_is_not_empty() -> None:
    x = np.zeros((2, 3, 8, 8), dtype=np.uint8)
    x[:, 1] = noise(2)[:, 0]
    says(empty.check(Images(x)), "ok")


def test_duplicates() -> None:
    x = noise(10)
    x[4], x[7], x[9] = x[1], x[1], x[8]
    says(duplicates.check(Images(x)), "warning", "3 of 10", "4 = 1, 7 = 1, 9 = 8", "3 times")
    assert duplicates.first_of_each(Images(x)).tolist() == [0, 1, 2, 3, 1, 5, 6, 1, 8, 8]


def test_labels() -> None:
    says(labels.check(Images(noise())), "ok", "none")
    says(labels.check(Images(noise(), np.zeros(40, int), ("a", "b"))), "warning", "1 of 2 classes have no sample: b")
    says(labels.check(Images(noise(), np.full(40, -1), ("a",))), "error", "no sample has a label")
    some = np.r_[np.zeros(118, int), 1, -1]
    says(labels.check(Images(noise(120), some, ("a", "b"))), "warning", "1 of 2", "fewer than 5%", ": b")
    even = np.r_[np.zeros(20, int), np.ones(19, int), -1]
    says(
        labels.check(Images(noise(), even, ("a", "b"))),
        "ok",
        "2 classes of 19 to 20 samples, 1 samples without a label",
    )


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.full((4, 8, 8), 3.5)}, ("from 3.5 to 3.5", "rescale")),
        ({"x": np.full((4, 8, 8), np.nan)}, ("NaN", "remove or mend")),
        (
            {"x": np.zeros((4, 8, 8), np.uint8), "y": np.array([0, 1, 2, 9]), "classes": ["a", "b", "c"]},
            ("0 to 9", "3"),
        ),
        ({"x": np.zeros((4, 8, 8), np.uint8), "y": np.array([0, -2, 0, 0])}, ("labels run from -2",)),
    ],
)
def test_what_does_not_open(arrays: dict[str, np.ndarray], words: tuple[str, ...], tmp_path: Path) -> None:
    """Values and labels out of range."""
    np.savez(tmp_path / "bad.npz", **arrays)  # type: ignore[arg-type]
    images, finding = opened(tmp_path / "bad.npz")
    assert images is None
    says(finding, "error", *words)


def test_what_is_not_there() -> None:
    images, finding = opened("no/such/folder")
    assert images is None
    says(finding, "error", "unknown data 'no/such/folder'")


def series(mean: float = 0.0, std: float = 1.0) -> np.ndarray:
    """Series of two channels."""
    return (mean + std * np.random.default_rng(0).normal(size=(50, 2, 16))).astype(np.float32)


def test_good_series_pass() -> None:
    assert all(finding.good for finding in examine(Arrays(series(), name="s", of="series")))
    assert len(list(examine(Arrays(series(), of="series")))) == 4


@pytest.mark.parametrize("options", [{"mean": 100.0}, {"std": 30.0}, {"std": 0.01}])
def test_series_of_another_scale(options: dict[str, float]) -> None:
    found = numbers.check(Arrays(series(**options), of="series"))
    mean, std = series(**options).astype(float).mean(), series(**options).astype(float).std()
    says(found, "warning", f"mean {mean:.3g}", f"subtract {mean:.3g} and divide by {std:.3g}")


def test_series_that_are_not_finite() -> None:
    x = series()
    x[30, 1, 3], x[40, 0, :2] = np.nan, np.inf
    says(numbers.check(Arrays(x, of="series")), "error", "3 are NaN or infinite, the first in sample 30", "mend")


def test_series_that_never_change() -> None:
    x = series()
    x[[4, 9]] = 0.5
    says(constant.check(Arrays(x, of="series")), "warning", "2 of 50 series", "4, 9")
    says(duplicates.check(Arrays(x, of="series")), "warning", "1 of 50 series repeat another (9 = 4)")
    says(constant.check(Arrays(np.zeros((3, 1, 4), np.float32), of="series")), "error", "3 of 3")


def test_tokens_have_no_scale() -> None:
    assert numbers.check(Arrays(np.full((4, 9), 200, np.int64), of="tokens")).good


def test_series_open_by_their_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=series(), kind="series")
    table, finding = opened(tmp_path / "s.npz")
    says(finding, "ok", "50 series of 2 x 16, no classes")
    assert table is not None and table.kind == "series"
