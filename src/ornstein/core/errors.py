"""Errors that a user can act on.

Each message names the offending thing and the remedy. The command line prints the message without a traceback and
exits with ``exit_code``; anything that is not an :class:`OrnsteinError` is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OrnsteinError(Exception):
    """Base of every error that is the user's to mend."""

    exit_code = 1


class UsageError(OrnsteinError, ValueError):
    """An argument that cannot be meant: unknown name, step count below one, unknown label."""

    exit_code = 2


class DataError(OrnsteinError, ValueError):
    """Data that cannot be trained on or compared with: empty folder, wrong channels, NaN."""


class CheckpointError(OrnsteinError):
    """A checkpoint that cannot be trusted or read: torn, wrong hash, newer format, a pickle."""


class CapabilityError(OrnsteinError, TypeError):
    """Two parts that do not fit: a sampler on a process that lacks the rung it needs."""


def suggest(name: str, known: Iterable[str]) -> str:
    """``"did you mean 'heun'?"`` for the nearest known name, else the list of the known ones."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean '{near[0]}'?"
    return "known: " + ", ".join(names) if names else "there are none"


def unknown(kind: str, name: object, known: Iterable[str]) -> UsageError:
    """The error for a name that is not in a table."""
    return UsageError(f"unknown {kind} '{name}': {suggest(str(name), known)}")
