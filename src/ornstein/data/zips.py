"""Pictures in a ``.zip`` archive, read where they lie: nothing is unpacked to disk."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from ornstein.core.errors import DataError
from ornstein.data.archive import MAX_MEMBER, arrange, check_member
from ornstein.data.beside import find_captions
from ornstein.data.decode import Unreadable
from ornstein.data.pictures import Collection


def zip_pictures(path: Path, split: str = "train") -> Collection:
    """The pictures of an archive, arranged as those of a folder: classes, captions, splits."""
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as a zip archive ({error}); make or download it again") from None
    members = [m for m in archive.infolist() if not m.is_dir()]
    for member in members:
        check_member(member.filename, str(path))
    found = arrange([m.filename for m in members], str(path), split)
    pictures = [members[i] for i in found.pictures]

    def read(member: zipfile.ZipInfo) -> bytes:
        if member.flag_bits & 1:
            raise Unreadable("it is encrypted")
        if member.file_size > MAX_MEMBER:
            raise Unreadable(f"it declares {member.file_size:,} bytes, more than {MAX_MEMBER:,}")
        try:
            return archive.read(member)
        except (OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            raise Unreadable(f"it is damaged in the archive: {error}") from None

    def text(name: str) -> bytes:
        try:
            return read(archive.getinfo(name))
        except Unreadable as error:
            raise DataError(f"{path}/{name} cannot be read: {error}; mend or remove it") from None

    captions, used = find_captions([m.filename for m in pictures], set(found.others), text, str(path))
    return Collection(
        name=path.stem,
        source=str(path),
        names=[f"{path}/{m.filename}" for m in pictures],
        read=lambda i: read(pictures[i]),
        stamps=lambda: [f"{m.file_size} {m.CRC:08x} {m.filename}" for m in pictures],
        labels=found.labels if found.classes else None,
        classes=found.classes,
        captions=captions,
        ignored=len(found.others) - used,
    )
