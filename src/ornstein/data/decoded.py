"""Decode once: pictures and other arrays that were made from something slower, kept in the cache.

Each lies in ``decoded/NAME-KEY`` below the cache; the key is a hash of everything that the result depends on (the files
with their sizes and times, the size asked for, the version of this code). Processes that ask for the same set at once
wait for the first, and then map the same files. The two latest of each origin are kept: the one in use, and the one
before it, with which a message can say what changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ornstein.core.errors import DataError
from ornstein.data.cache import CacheError, cache_dir, written_aside
from ornstein.data.dataset import Arrays, Images, Table
from ornstein.data.pictures import Collection, DataWarning, Decoder, Report, Size, to_images, warn_of
from ornstein.data.resize import Crop
from ornstein.data.store import FORMAT, META, Writer, is_store, open_store, read_meta

if sys.platform != "win32":
    import fcntl

VERSION = 1
"""Goes up when the same files would decode to other pixels."""

STAMPS = "stamps.txt"
_KEPT = 2


def decoded_dir() -> Path:
    """Where decoded sets are kept."""
    return cache_dir() / "decoded"


def decode_once(
    collection: Collection,
    size: Size,
    channels: int | None = None,
    strict: bool = False,
    crop: Crop = "center",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Images, Report]:
    """The pictures of a collection, mapped from the cache; decoded into it where they have changed or are new.

    Where the cache cannot be written, a :class:`DataWarning` says so and the pictures are held in memory; so they are where
    nothing tells whether they have changed (no stamps).
    """
    stamps = collection.stamps()
    if not stamps:
        return to_images(collection, size, channels, strict, crop, progress)
    captions = hashlib.sha256("\0".join(collection.captions or ()).encode()).hexdigest()
    origin = {"source": str(Path(collection.source).absolute()), "size": size, "channels": channels, "crop": crop}
    contents = [stamps, captions, list(collection.classes), list(collection.labels or ()), VERSION]

    def build(writer: Writer) -> None:
        decoder = Decoder(collection, size, channels, strict, crop, progress)
        labels, captions = collection.labels, collection.captions
        for numbers, x in decoder:
            writer.add(
                x,
                None if labels is None else np.array([labels[i] for i in numbers]),
                None if captions is None else [captions[i] for i in numbers],
            )
        if channels is None and decoder.grey:
            writer.keep_channel(0)
        skipped = [(str(name), why) for name, why in decoder.skipped]
        made_from = {**origin, "skipped": skipped, "ignored": collection.ignored, "read": decoder.read}
        (writer.folder / STAMPS).write_text("\n".join(stamps), encoding="utf-8", errors="surrogateescape")
        writer.finish("images", collection.name, collection.classes, collection.source, made_from=made_from)

    try:
        images = cached(collection.name, origin, contents, build)
    except CacheError as error:
        warnings.warn(f"{error}; until then {collection.source} is decoded anew each time", DataWarning, stacklevel=2)
        return to_images(collection, size, channels, strict, crop, progress)
    assert isinstance(images, Images) and images.stored is not None
    made = read_meta(images.stored)["made_from"]
    report = Report(made["read"], tuple((name, why) for name, why in made["skipped"]), made["ignored"])
    if strict and report.skipped:
        name, why = report.skipped[0]
        raise DataError(f"{name} cannot be read: {why}; mend or remove it, or leave out strict to skip it")
    warn_of(collection, report)
    return images, report


def cached(name: str, origin: Mapping[str, Any], contents: object, build: Callable[[Writer], None]) -> Images | Arrays:
    """A set that depends on nothing but ``origin`` and ``contents`` (both as JSON), made by ``build`` if it is not there.

    ``origin`` says what a person would call the same data (a path, a size); ``contents`` what may change behind that name.
    For latents: the codec's weights and the data's content hash.

    Raises:
        CacheError: the cache cannot be written.
    """
    group = _digest(origin)[:8]
    folder = decoded_dir() / f"{_slug(name)}-{group}-{_digest([contents, FORMAT])[:16]}"
    if is_store(folder):
        return _opened(folder)
    with _alone(folder):
        if not is_store(folder):  # nobody else has made it while we waited
            with written_aside(folder) as aside:
                writer = Writer(aside)
                try:
                    build(writer)
                finally:
                    writer.close()
            _forget(group, folder)
    return _opened(folder)


def earlier(prefix: str) -> Images | Arrays | None:
    """A set of the cache whose content hash begins so."""
    for meta in sorted(decoded_dir().glob(f"*/{META}")):
        try:
            table = open_store(meta.parent)
        except DataError:  # damaged or of another version: of no use for comparing
            continue
        if table.content_hash.startswith(prefix):
            return table
    return None


def stamps_of(table: Table) -> dict[str, str]:
    """Size and time of each file that a stored set was decoded from, by path; empty where that is not known."""
    path = None if table.stored is None else table.stored / STAMPS
    if path is None or not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    found = (line.split(" ", 2) for line in lines)
    return {name: f"{size} {time}" for size, time, name in found}


def _opened(folder: Path) -> Images | Arrays:
    table = open_store(folder)
    with suppress(OSError):  # a cache that may only be read
        os.utime(folder)  # in use: see _forget
    return table


def _forget(group: str, latest: Path) -> None:
    """Remove all but the latest sets of one origin. Who has one of them open keeps it: the files go when they close."""
    others = [f for f in decoded_dir().glob(f"*-{group}-*") if f != latest and not f.name.startswith(".")]
    others.sort(key=_used, reverse=True)
    for folder in others[_KEPT - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)


def _used(folder: Path) -> float:
    with suppress(OSError):  # another process has just removed it
        return folder.stat().st_mtime
    return 0.0


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time makes a set; the lock goes with the process that holds it."""
    lock = folder.with_name(f".{folder.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("w")
    except OSError as error:
        raise CacheError(
            f"{folder.name} cannot be kept in {folder.parent}: {error.strerror or error}; "
            "make room there, or set ORNSTEIN_CACHE to a folder that can be written"
        ) from error
    with file:
        if sys.platform != "win32":  # there, two may do the same work; the first to finish is kept
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")[:40] or "data"
