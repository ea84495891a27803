"""The IDX reader: every type, plain and in gzip, and every way a file can be damaged."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from ornstein.core.errors import DataError
from ornstein.data import read_idx

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(values: np.ndarray) -> bytes:
    code = CODES[values.dtype.str[1:]]
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, code, values.ndim]) + sizes + values.astype(values.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dtype", CODES)
def test_round_trip(tmp_path: Path, dtype: str, zipped: bool) -> None:
    values = np.arange(-6, 6).astype(dtype).reshape(2, 3, 2)
    (tmp_path / "a").write_bytes(gzip.compress(idx(values)) if zipped else idx(values))
    found = read_idx(tmp_path / "a", rank=3)
    assert found.dtype == np.dtype(dtype) and np.array_equal(found, values)


GOOD = idx(np.zeros((2, 3), np.uint8))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "starts with nothing"),
        (b"\x89PNG\r\n", "is not an IDX file .* 89 50 4e 47"),
        (b"\0\0\x07\x01\0\0\0\0", "is not an IDX file"),
        (GOOD[:9], "ends within its header"),
        (GOOD[:-1], r"should hold 18 bytes for shape \(2, 3\) but has 17"),
        (GOOD + b"\0", "but has 19"),
        (gzip.compress(GOOD, mtime=0)[:-9], "cannot be read"),
        (gzip.compress(GOOD, mtime=0)[:12] + b"\xff\xff\xff" + gzip.compress(GOOD, mtime=0)[15:], "cannot be read"),
        (bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1), "should hold"),
    ],
)
def test_damaged(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "broken").write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(tmp_path / "broken")
    assert "broken" in str(caught.value) and "fetch it again" in str(caught.value)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file .*absent"):
        read_idx(tmp_path / "absent")


def test_other_rank(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(GOOD)
    with pytest.raises(DataError, match="array of 2 dimensions, expected 1; are images and labels swapped"):
        read_idx(tmp_path / "a", rank=1)
