"""The methods of marking by name, and the key that is used."""

from __future__ import annotations

import os
from collections.abc import Callable

from ornstein.core.errors import UsageError, unknown
from ornstein.provenance import weights
from ornstein.provenance.mark import PUBLIC_KEY, Mark
from ornstein.provenance.rivagan import RivaGAN
from ornstein.provenance.spread import SpreadMark

KEY = "ORNSTEIN_MARK_KEY"
"""Environment variable with a secret key for marks; without it they can be read by anyone."""

DEFAULT = SpreadMark.name
"""It survives more than rivaGAN, needs no weights and takes a hundredth of the time: docs/guide/provenance.md has the table."""

MARKS: dict[str, Callable[[str], Mark]] = {SpreadMark.name: SpreadMark, RivaGAN.name: RivaGAN}
"""Methods by name, made with a key. A new one is a file and a row."""


def key() -> str:
    """The key of this machine: the secret one if there is one."""
    return os.environ.get(KEY) or PUBLIC_KEY


def get_mark(name: str = DEFAULT, with_key: str | None = None) -> Mark:
    """A method by name, with that key or this machine's.

    Raises:
        UsageError: no such method; or its weights are not on this machine.
    """
    if name not in MARKS:
        raise unknown("mark", name, MARKS)
    if with_key is not None and not with_key:
        raise UsageError("the key of a mark is empty; give any text, or leave it out")
    return MARKS[name](with_key or key())


def readable() -> list[str]:
    """The methods that can be looked for on this machine."""
    return [name for name in MARKS if name != RivaGAN.name or weights.present(name)]
