"""What a picture file says of where it comes from: settings, invisible marks, manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from ornstein.provenance import manifest
from ornstein.provenance.files import MARKED, payload_of, read_picture
from ornstein.provenance.manifest import Manifest
from ornstein.provenance.mark import PUBLIC_KEY, Detection
from ornstein.provenance.marks import get_mark, key, readable
from ornstein.provenance.settings import Settings, read_settings


@final
@dataclass(frozen=True)
class Origin:
    """``agrees``: whether the mark was written for just these settings; None where there is no payload or there are no settings.

    ``secret``: whether the mark was found with this machine's secret key rather than with the public one. ``looked_for``: the
    methods whose networks are on this machine. ``manifest`` is None also where c2pa-python, which reads it, is not installed.
    """

    path: Path
    size: tuple[int, int]
    settings: Settings | None
    marks: list[Detection]
    secret: bool
    agrees: bool | None
    manifest: Manifest | None
    looked_for: list[str]

    @property
    def marked(self) -> bool:
        """Whether an invisible mark was found."""
        return any(d.found for d in self.marks)


def verify(path: str | Path, keys: Sequence[str] | None = None) -> Origin:
    """Read everything that a picture file says of itself.

    ``keys``: the marks of which keys to look for, by default this machine's and the public one.

    Raises:
        DataError: no such file, or not a picture.
    """
    path = Path(path)
    settings = read_settings(path)
    x = read_picture(path)
    tried = list(dict.fromkeys(keys or (key(), PUBLIC_KEY)))
    marks, used = [], PUBLIC_KEY
    for name in readable():
        for k in tried:
            found = get_mark(name, k).detect(x)
            if found.found or k == tried[-1]:
                marks.append(found)
                used = k if found.found else used
                break
    payload = next((d.payload for d in marks if d.found and d.payload is not None), None)
    agrees = None
    if payload is not None and settings is not None and MARKED in settings.values:
        agrees = payload == payload_of(settings.values)
    return Origin(
        path,
        (x.shape[2], x.shape[1]),
        settings,
        marks,
        used != PUBLIC_KEY,
        agrees,
        manifest.read_manifest(path) if manifest.present() else None,
        readable(),
    )
