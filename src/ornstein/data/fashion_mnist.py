"""Fashion-MNIST: 60,000 + 10,000 grey pictures of clothes, 28 x 28, ten classes. Xiao, Rasul and Vollgraf 2017."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np

from ornstein.core.errors import DataError
from ornstein.data import debian
from ornstein.data.cache import cache_dir, written_aside
from ornstein.data.dataset import Images
from ornstein.data.idx import read_idx
from ornstein.data.watching import doing

PACKAGE = "dataset-fashion-mnist"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")
CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
SOURCE = "https://github.com/zalandoresearch/fashion-mnist"
LICENCE = "MIT, (c) 2017 Zalando SE"
_PREFIX = {"train": "train", "test": "t10k"}
_COUNT = {"train": 60_000, "test": 10_000}
_SHA256 = {  # of the pixels and of the labels, uncompressed
    "train": (
        "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
        "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
    ),
    "test": (
        "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
        "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
    ),
}


def read(split: str) -> Images:
    """The ``train`` or ``test`` images, fetched first if they are nowhere on this machine."""
    return read_files(fetch(), split)


def fetch(path: str | Path | None = None) -> Path:
    """The folder that holds the four files; ``path`` is a folder to copy them from instead of downloading them."""
    target = cache_dir() / "fashion-mnist"
    if path is None and complete(INSTALLED):
        return INSTALLED
    if complete(target):
        return target
    with written_aside(target) as aside:
        if path is None:
            remedy = f"download the four files from {SOURCE} and give their folder as the data path"
            debian.unpack(PACKAGE, aside / "package", remedy)
            origin = aside / "package" / INSTALLED.relative_to("/")
        else:
            origin = Path(path).expanduser()
        if not complete(origin):
            where = f"the package {PACKAGE}" if path is None else origin
            raise DataError(f"{where} does not hold the four files of Fashion-MNIST; expected {', '.join(_names())}")
        for file in (_file(origin, name) for name in _names()):
            shutil.copyfile(file, aside / file.name)
        shutil.rmtree(aside / "package", ignore_errors=True)
        for split in _PREFIX:
            doing(f"checking {split}", aside)
            _verify(aside, split)
        if target.exists():  # files are missing from it
            shutil.rmtree(target)
    return target


def read_files(folder: Path, split: str) -> Images:
    """The images of a folder that holds the four files."""
    x = read_idx(_file(folder, f"{_PREFIX[split]}-images-idx3-ubyte"), rank=3)
    y = read_idx(_file(folder, f"{_PREFIX[split]}-labels-idx1-ubyte"), rank=1)
    classes = CLASSES if not y.size or y.max() < len(CLASSES) else tuple(str(i) for i in range(int(y.max()) + 1))
    return Images(x[:, None], y, classes, "fashion-mnist", SOURCE, LICENCE)


def _names() -> list[str]:
    return [f"{prefix}-{kind}-ubyte" for prefix in _PREFIX.values() for kind in ("images-idx3", "labels-idx1")]


def _file(folder: Path, name: str) -> Path:
    """The file in gzip, or plain where only that exists."""
    plain = folder / name
    return plain if plain.is_file() else folder / f"{name}.gz"


def complete(folder: Path) -> bool:
    """Whether a folder holds all four files, each in gzip or plain."""
    return all(_file(folder, name).is_file() for name in _names())


def read_any(folder: Path, split: str) -> Images:
    """The images of a folder with files of these names: MNIST and others use them too, and then classes are numbers."""
    images = read_files(folder, split)
    if _hashes(images) == _SHA256[split]:
        return images
    assert images.labels is not None
    classes = tuple(str(i) for i in range(int(images.labels.max()) + 1))
    return Images(images.x, images.labels, classes, folder.name or folder.resolve().name, str(folder))


def _hashes(images: Images) -> tuple[str, str]:
    """Of the pixels and of the labels, as bytes."""
    assert images.labels is not None
    x, y = (hashlib.sha256(a.astype(np.uint8).data).hexdigest() for a in (images.x, images.labels))
    return x, y


def _verify(folder: Path, split: str) -> None:
    images = read_files(folder, split)
    found = _hashes(images)
    if len(images) != _COUNT[split] or found != _SHA256[split]:
        raise DataError(
            f"the {split} files fetched for Fashion-MNIST are not the published ones "
            f"({len(images)} images, hashes {found[0][:12]} and {found[1][:12]}); fetch them from {SOURCE}"
        )
