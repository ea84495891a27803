"""Pictures in ``.tar`` shards as webdataset writes them: a sample is the members that share a name up to the first dot.

``000017.jpg`` and beside it ``000017.txt`` (its caption), ``000017.cls`` (its label, a number) or ``000017.json`` (``text``
or ``caption``, ``label``). Folders inside are classes where no label is given. Only headers are read at first; pictures are
read where they lie. Aizman, Maltby and Breuel 2019, "High performance I/O for large scale deep learning".
"""

from __future__ import annotations

import json
import os
import re
import sys
import tarfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ornstein.core.errors import DataError
from ornstein.data.archive import MAX_MEMBER, arrange, check_member
from ornstein.data.beside import decode_text
from ornstein.data.decode import SUFFIXES, Unreadable
from ornstein.data.pictures import Collection

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Member(NamedTuple):
    """Where a file lies in a shard."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Shard:
    """An open ``.tar`` file; several threads may read it."""

    path: Path
    handle: int = field(repr=False)
    size: int
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def open(cls, path: Path) -> Shard:
        """Open a file for reading at any place."""
        try:
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise DataError(f"{path} cannot be opened: {error.strerror}; check the path") from None
        return cls(path, handle, os.fstat(handle).st_size)

    def read(self, member: Member) -> bytes:
        """The contents of a member."""
        if member.size > MAX_MEMBER:
            raise Unreadable(f"it declares {member.size:,} bytes, more than {MAX_MEMBER:,}")
        return self.at(member.offset, member.size)

    def at(self, offset: int, size: int) -> bytes:
        """Bytes at a place, whatever other threads read."""
        if sys.platform != "win32":
            return os.pread(self.handle, size, offset)
        with self.lock:
            os.lseek(self.handle, offset, os.SEEK_SET)
            return os.read(self.handle, size)

    def members(self) -> list[Member]:
        """Every file in it, by reading the headers only."""
        found: list[Member] = []
        try:
            with tarfile.open(self.path, "r:") as tar:
                for info in tar:
                    if not info.isfile():
                        continue
                    check_member(info.name, str(self.path))
                    if info.offset_data + info.size > self.size:
                        raise DataError(
                            f"{self.path} ends within its member {info.name} (byte {self.size} of "
                            f"{info.offset_data + info.size}); copy or download it again"
                        )
                    found.append(Member(info.name, info.offset_data, info.size))
        except tarfile.TarError as error:
            packed = self.at(0, 2) == b"\x1f\x8b"
            why = "it is compressed: unpack it with gunzip, its pictures are so already" if packed else str(error)
            raise DataError(f"{self.path} cannot be read as a tar archive: {why}") from None
        return found

    def __del__(self) -> None:
        os.close(self.handle)


def shard_paths(what: str | Path) -> list[Path]:
    """The shards that a name means: a file, a folder of ``.tar`` files, or a range ``set-{000..015}.tar``."""
    path = Path(what).expanduser()
    if match := _BRACES.search(str(path)):
        first, last = match[1], match[2]
        numbers = [f"{n:0{len(first)}d}" for n in range(int(first), int(last) + 1)]
        if not numbers:
            raise DataError(f"the range {match[0]} in {what} is empty; write the smaller number first")
        paths = [Path(str(path).replace(match[0], number)) for number in numbers]
    else:
        paths = sorted(path.glob("*.tar")) if path.is_dir() else [path]
    gone = [p for p in paths if not p.is_file()]
    if gone or not paths:
        named = ", ".join(str(p) for p in gone[:3]) or f"{path} (no .tar file in it)"
        raise DataError(f"{len(gone) or 'no'} of {len(paths)} shards missing: {named}; check the path")
    return paths


class Sample(NamedTuple):
    """One picture and what lies beside it."""

    shard: Shard
    picture: Member
    caption: str
    label: str | None


def read_index(paths: Sequence[Path]) -> tuple[list[list[Sample]], list[tuple[object, str]], int]:
    """The samples of each shard, the samples that have no picture, and the number of members that are of no use."""
    shards: list[list[Sample]] = []
    missing: list[tuple[object, str]] = []
    ignored = 0
    for path in paths:
        shard = Shard.open(path)
        groups: dict[str, dict[str, Member]] = {}
        for member in shard.members():
            place = PurePosixPath(member.name)
            if place.name.startswith(".") or "__MACOSX" in place.parts:
                continue
            key, _, ending = place.name.partition(".")
            group = groups.setdefault(str(place.parent / key), {})
            if ending.lower() in group:
                raise DataError(f"{path} holds {member.name} twice; make the shard again")
            group[ending.lower()] = member
        samples = []
        for key, group in groups.items():
            picture = next((m for e, m in group.items() if f".{e.rpartition('.')[2]}" in SUFFIXES), None)
            if picture is None:
                names = ", ".join(m.name for m in group.values())
                missing.append((f"{path}/{key}", f"the sample has {names}, but no picture"))
                continue
            caption, label, used = _beside(shard, group)
            ignored += len(group) - 1 - used
            samples.append(Sample(shard, picture, caption, label))
        shards.append(samples)
    if not any(shards):
        raise DataError(
            f"no sample in {', '.join(map(str, paths[:3]))} has a picture ({len(missing)} have none); a sample is "
            "NAME.jpg, and beside it NAME.txt, NAME.cls or NAME.json"
        )
    return shards, missing, ignored


def tar_pictures(what: str | Path) -> Collection:
    """The pictures of one shard or several, in order, to be decoded as a whole. For sets that are too large for that see
    :class:`ornstein.data.TarStream`."""
    paths = shard_paths(what)
    shards, missing, ignored = read_index(paths)
    samples = [sample for shard in shards for sample in shard]
    labels, classes = label_samples(samples, str(what))
    captions = [sample.caption for sample in samples]
    return Collection(
        name=re.sub(r"[-_]?\{.*\}", "", Path(what).stem) or "shards",
        source=str(what),
        names=[f"{s.shard.path}/{s.picture.name}" for s in samples],
        read=lambda i: samples[i].shard.read(samples[i].picture),
        stamps=lambda: stamps(samples),
        labels=labels,
        classes=classes,
        captions=captions if any(captions) else None,
        ignored=ignored,
        missing=tuple(missing),
    )


def stamps(samples: Sequence[Sample]) -> list[str]:
    """One line a sample: size of the picture, time of its shard and place in it, path."""
    times: dict[Path, int] = {}
    for s in samples:
        if s.shard.path not in times:
            times[s.shard.path] = os.fstat(s.shard.handle).st_mtime_ns
    return [
        f"{s.picture.size} {times[s.shard.path]}+{s.picture.offset} {s.shard.path.name}/{s.picture.name}"
        for s in samples
    ]


def label_samples(samples: Sequence[Sample], where: str) -> tuple[list[int] | None, tuple[str, ...]]:
    """Labels from what lies beside the pictures: numbers as they are, names in order; else from folders; else none."""
    given = [sample.label for sample in samples]
    known = [label for label in given if label is not None]
    if not known:
        folders = any("/" in sample.picture.name for sample in samples)
        found = arrange([s.picture.name for s in samples], where) if folders else None
        if found is None or not found.classes:
            return None, ()
        order = dict(zip(found.pictures, found.labels, strict=True))
        return [order.get(i, -1) for i in range(len(samples))], found.classes
    if all(re.fullmatch(r"\d+", label) for label in known):
        classes = tuple(str(i) for i in range(max(map(int, known)) + 1))
        return [-1 if label is None else int(label) for label in given], classes
    classes = tuple(sorted(set(known)))
    return [-1 if label is None else classes.index(label) for label in given], classes


def _beside(shard: Shard, group: dict[str, Member]) -> tuple[str, str | None, int]:
    """Caption, label, and how many members they came from."""
    caption, label, used = "", None, 0
    if (member := group.get("json")) is not None:
        name = f"{shard.path}/{member.name}"
        try:
            about = json.loads(decode_text(shard.read(member), name))
        except ValueError as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{name} is not JSON ({error}); make the shard again") from None
        if isinstance(about, dict):
            caption = str(about.get("text", about.get("caption", "")))
            label = None if about.get("label") is None else str(about["label"])
            used += 1
    for ending in ("txt", "cls"):
        if (member := group.get(ending)) is not None:
            text = decode_text(shard.read(member), f"{shard.path}/{member.name}").strip()
            caption, label = (text, label) if ending == "txt" else (caption, text)
            used += 1
    return caption, label, used
