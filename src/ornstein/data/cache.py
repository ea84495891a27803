"""Where fetched sets are kept, and how they get there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ornstein.core.errors import DataError


class CacheError(DataError):
    """The cache cannot be written: no room, no permission."""


def cache_dir() -> Path:
    """``$ORNSTEIN_CACHE``, else ``~/.cache/ornstein``."""
    return Path(os.environ.get("ORNSTEIN_CACHE") or "~/.cache/ornstein").expanduser()


@contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """An empty folder beside ``target`` that takes its name if the block succeeds and vanishes if it does not.

    When another process made ``target`` in the meantime, that one stays.
    """
    aside: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        yield aside
        aside.chmod(0o755)  # mkdtemp makes it private; a shared cache must not be
        try:
            aside.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    except OSError as error:
        raise CacheError(
            f"{target.name} cannot be kept in {target.parent}: {error.strerror or error}; "
            "make room there, or set ORNSTEIN_CACHE to a folder that can be written"
        ) from error
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
