"""The data sets that are known by name. A new one is a file with its reader and one row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from ornstein.core.errors import DataError, UsageError, suggest, unknown
from ornstein.data import digits, fashion_mnist
from ornstein.data.dataset import Table
from ornstein.data.sets import emoji
from ornstein.data.sets.all import NAMED


@final
@dataclass(frozen=True)
class Source:
    """A named set: how to read a split of it, and how to bring it to this machine (``fetch``) unless it is embedded.

    ``padded``: its pictures stand on a black ground, so a somewhat larger size is reached by a black border, which
    keeps every pixel, instead of by interpolation. ``kind``: images, or one of :data:`ornstein.data.KINDS`.
    """

    name: str
    about: str
    origin: str
    licence: str
    splits: tuple[str, ...]
    read: Callable[[str], Table]
    fetch: Callable[[str | Path | None], Path] | None = None
    padded: bool = False
    kind: str = "images"


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            "digits",
            "10,000 handwritten digits of MNIST, 28 x 28, grey, 10 classes; comes with the package",
            digits.SOURCE,
            digits.LICENCE,
            ("train", "test"),
            digits.read,
            padded=True,
        ),
        Source(
            "emoji",
            "1,906 emoji with names, 64 x 64, colour, 9 categories; comes with the package",
            emoji.SOURCE,
            emoji.LICENCE,
            ("train", "test"),
            emoji.read,
        ),
        Source(
            "fashion-mnist",
            "70,000 pictures of clothes, 28 x 28, grey, 10 classes; 31 MB, from the Debian package",
            fashion_mnist.SOURCE,
            fashion_mnist.LICENCE,
            ("train", "test"),
            fashion_mnist.read,
            fashion_mnist.fetch,
            padded=True,
        ),
        Source(
            "mnist",
            "the digits again, under the name of the set they are of",
            digits.SOURCE,
            digits.LICENCE,
            ("train", "test"),
            digits.read,
            padded=True,
        ),
        *(
            Source(n.name, n.about, n.origin, n.licence, tuple(n.expected), n.read, n.fetch, n.padded, n.kind)
            for n in NAMED
        ),
    )
}


def names() -> list[str]:
    """The known names."""
    return sorted(SOURCES)


def get(name: str) -> Source:
    """The source of that name."""
    if name not in SOURCES:
        raise unknown("data set", name, SOURCES)
    return SOURCES[name]


def fetch(name: str, path: str | Path | None = None) -> Path | None:
    """Bring a named set to this machine, from the folder ``path`` if given; where it lies (None: in the package)."""
    source = get(name)
    if source.fetch is None:
        if path is not None:
            raise UsageError(f"'{name}' comes with the package and is not read from {path}; leave out the path")
        return None
    return source.fetch(path)


def check_split(name: str, split: str, splits: tuple[str, ...]) -> None:
    """Refuse a split that a set does not have."""
    if split not in splits:
        raise DataError(f"'{name}' has no split '{split}': {suggest(split, splits)}")
