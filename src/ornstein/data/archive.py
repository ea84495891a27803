"""Pictures inside an archive: what its members are, as classes, captions and others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from ornstein.core.errors import DataError
from ornstein.data.decode import SUFFIXES, others

SPLITS = ("train", "test", "val", "valid", "validation")
"""Names of folders that are taken for parts of a set."""

MAX_MEMBER = 2**29
"""Members that declare more bytes (512 MiB) are refused before they are unpacked."""


class Arranged(NamedTuple):
    """Numbers of the members that are pictures, the class of each (empty: none), and the names of the other files."""

    pictures: list[int]
    labels: list[int]
    classes: tuple[str, ...]
    others: list[str]


def check_member(name: str, archive: str) -> None:
    """Refuse a path that leaves the folder it would be unpacked into. Nothing is unpacked, but such archives are made to
    do harm, and what else is in them is not to be trusted."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise DataError(
            f"{archive} holds the path '{name}', which climbs out of the folder; such an archive is not read: "
            "make it again from the pictures themselves"
        )


def arrange(names: Sequence[str], archive: str, split: str = "train") -> Arranged:
    """Sort members as a folder is read: sub-folders are classes, hidden files are passed over, ``train`` and ``test`` are
    splits. A folder that holds everything does not count."""
    paths = {i: PurePosixPath(name) for i, name in enumerate(names)}
    paths = {i: p for i, p in paths.items() if not any(x.startswith(".") or x == "__MACOSX" for x in p.parts)}
    while (tops := {p.parts[0] if len(p.parts) > 1 else "" for p in paths.values()}) and len(tops) == 1:
        if tops & {"", *SPLITS}:
            break
        paths = {i: PurePosixPath(*p.parts[1:]) for i, p in paths.items()}
    inside = {p.parts[0] for p in paths.values() if len(p.parts) > 1}
    if "train" in inside and inside <= set(SPLITS):
        if split not in inside:
            raise DataError(f"{archive} has no split '{split}'; it has {', '.join(sorted(inside))}")
        paths = {i: PurePosixPath(*p.parts[1:]) for i, p in paths.items() if p.parts[0] == split}
    elif split != "train":
        raise DataError(f"{archive} has no split '{split}'; put the pictures in its folders 'train' and '{split}'")
    pictures = sorted((i for i, p in paths.items() if p.suffix.lower() in SUFFIXES), key=lambda i: paths[i].parts)
    rest = [names[i] for i, p in paths.items() if p.suffix.lower() not in SUFFIXES]
    if not pictures:
        beside = f" (it holds {others([PurePosixPath(name) for name in rest])})" if rest else " (it is empty)"
        raise DataError(
            f"no pictures in {archive}{beside}; put files there that end in one of {' '.join(sorted(SUFFIXES))}"
        )
    loose = [i for i in pictures if len(paths[i].parts) == 1]
    if loose and len(loose) < len(pictures):
        raise DataError(
            f"{archive} holds both {len(loose)} loose pictures and folders with pictures; move the loose ones into a "
            "class folder"
        )
    if loose:
        return Arranged(pictures, [], (), rest)
    classes = tuple(sorted({paths[i].parts[0] for i in pictures}))
    return Arranged(pictures, [classes.index(paths[i].parts[0]) for i in pictures], classes, rest)
