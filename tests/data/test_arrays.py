"""Array files: layouts, types, ranges, labels, and everything that is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from ornstein.core.errors import DataError
from ornstein.data import from_array, open_data, read_arrays

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (6, 3, 8, 9), dtype=np.uint8)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_npy(tmp_path: Path, layout: str) -> None:
    """Both layouts give the same images, which stay on disk."""
    np.save(tmp_path / "a.npy", BYTES if layout == "NCHW" else BYTES.transpose(0, 2, 3, 1))
    images = open_data(tmp_path / "a.npy")
    assert np.array_equal(images.x, BYTES) and images.name == "a" and images.labels is None
    base = images.x
    while not isinstance(base, np.memmap):
        assert isinstance(base, np.ndarray)
        base = base.base


@pytest.mark.parametrize("shape", [(6, 8, 9), (6, 1, 8, 9), (6, 8, 9, 1)])
def test_grey_layouts(shape: tuple[int, ...]) -> None:
    assert np.array_equal(from_array(BYTES[:, 0].reshape(shape)).x, BYTES[:, :1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_floats_of_both_ranges_are_the_bytes_they_came_from(dtype: type, layout: str) -> None:
    x = BYTES if layout == "NCHW" else BYTES.transpose(0, 2, 3, 1)
    assert np.array_equal(from_array((x / 255).astype(dtype)).x, BYTES)
    assert np.array_equal(from_array((x / 127.5 - 1).astype(dtype)).x, BYTES)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint16])
def test_integers(dtype: type) -> None:
    assert np.array_equal(from_array(BYTES.astype(dtype)).x, BYTES)


def test_booleans_are_black_and_white() -> None:
    assert np.array_equal(from_array(BYTES > 99).x, np.where(BYTES > 99, 255, 0))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (BYTES.astype(float), r"float64 from 0 to 255; expected floats in \[0, 1\] or \[-1, 1\]"),
        (BYTES / 255 * 2.5 - 1, "from -1 to 1.5"),
        (BYTES.astype(int) * 257, r"int64 from 0 to 65535; expected integers in 0\.\.255"),
        (BYTES.astype(int) - 1, "from -1 to 254"),
        (BYTES.astype(complex), "holds complex128"),
        (np.zeros((2, 4, 8, 8), np.uint8), r"\(2, 4, 8, 8\): neither axis 1 nor axis 3 has 1 or 3 channels"),
        (np.zeros((2, 8, 8, 2), np.uint8), "neither axis 1 nor axis 3"),
        (np.zeros((2, 3, 8, 3), np.uint8), "either axis 1 or axis 3 may be the channels"),
        (np.zeros((8, 8, 3), np.uint8), "looks like one picture; add a first axis"),
        (np.zeros((8, 8), np.uint8), r"shape \(8, 8\); expected \[N, C, H, W\]"),
        (np.zeros((0, 3, 8, 8), np.float32), "has no images"),
    ],
)
def test_refused(x: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_array(x)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan(value: float) -> None:
    """Counted over all parts, and the first is said, in the terms of [N, C, H, W]."""
    x = np.zeros((3000, 4, 5, 3), np.float32)
    x[2048, 3, 2, 1] = x[2999] = value
    with pytest.raises(
        DataError, match=r"has 61 values that are NaN or infinite, the first in image 2048 at .* \(1, 3, 2\)"
    ):
        from_array(x)


def test_npz_with_labels_and_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=BYTES, labels=[0, 1, 0, 1, 0, 1], classes=["cat", "dog"])
    images = open_data(str(tmp_path / "a.npz"))
    assert images.labels is not None and images.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert images.classes == ("cat", "dog") and np.array_equal(images.x, BYTES)


def test_npz_of_samples(tmp_path: Path) -> None:
    """The layout that evaluation scripts exchange: arr_0 in NHWC, arr_1 the labels; classes are then numbers."""
    np.savez(tmp_path / "a.npz", BYTES.transpose(0, 2, 3, 1), np.array([[0], [2], [0], [1], [0], [2]]))
    images = read_arrays(tmp_path / "a.npz")
    assert (
        images.classes == ("0", "1", "2") and images.labels is not None and images.labels.tolist() == [0, 2, 0, 1, 0, 2]
    )


def test_npz_with_splits(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=BYTES, y_train=np.zeros(6, int), x_test=BYTES[:2], y_test=np.zeros(2, int))
    assert len(open_data(tmp_path / "a.npz")) == 6 and len(open_data(tmp_path / "a.npz", split="test")) == 2
    with pytest.raises(DataError, match="has no split 'tets': did you mean 'test'"):
        open_data(tmp_path / "a.npz", split="tets")


def test_bad_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "names.npz", pictures=BYTES)
    np.savez(tmp_path / "labels.npz", x=BYTES, y=np.zeros(5, int))
    np.savez(tmp_path / "plain.npz", x=BYTES)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps([1, 2]))
    (tmp_path / "torn.npz").write_bytes((tmp_path / "plain.npz").read_bytes()[:700])
    damaged = bytearray((tmp_path / "plain.npz").read_bytes())
    damaged[400] ^= 255
    (tmp_path / "damaged.npz").write_bytes(damaged)
    np.save(tmp_path / "torn.npy", BYTES)
    (tmp_path / "torn.npy").write_bytes((tmp_path / "torn.npy").read_bytes()[:700])
    (tmp_path / "empty.npy").write_bytes(b"")
    for name, message in {
        "names.npz": "has the arrays pictures; name the images 'x'",
        "labels.npz": r"'labels': labels must be 6 integers, one per image, got int64 of shape \(5,\)",
        "objects.npy": "holds Python objects, or is no NumPy file; pickles are never read",
        "pickle.npz": "holds Python objects, or is no NumPy file; pickles are never read",
        "torn.npz": "cannot be read as NumPy arrays",
        "damaged.npz": "cannot be read as NumPy arrays .*CRC",
        "torn.npy": "cannot be read as NumPy arrays",
        "empty.npy": "cannot be read as NumPy arrays",
    }.items():
        with pytest.raises(DataError, match=message) as caught:
            read_arrays(tmp_path / name)
        assert Path(name).stem in str(caught.value)
    with pytest.raises(DataError, match=r"no file .*absent\.npz"):
        read_arrays(tmp_path / "absent.npz")
    with pytest.raises(DataError, match="has no split 'test'; name its arrays x_train"):
        read_arrays(tmp_path / "plain.npz", "test")
