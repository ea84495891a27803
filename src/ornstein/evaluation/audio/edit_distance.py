"""Word and character error rates: the least number of substitutions, deletions and insertions. Levenshtein 1966."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from ornstein.core.errors import DataError


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Least number of substitutions, deletions and insertions that turn one sequence into the other."""
    codes: dict[str, int] = {}
    x, y = (np.array([codes.setdefault(s, len(codes)) for s in seq], dtype=np.int64) for seq in (a, b))
    offset = np.arange(len(y) + 1)
    row = offset.copy()
    for i, s in enumerate(x, 1):
        new = np.concatenate([[i], np.minimum(row[1:] + 1, row[:-1] + (y != s))])
        row = np.minimum.accumulate(new - offset) + offset  # an insertion costs 1 from the left neighbour
    return int(row[-1])


def normalise(text: str) -> str:
    """Lower case, letters, digits and apostrophes only, single spaces: what is heard, not how it is written."""
    folded = unicodedata.normalize("NFKC", text).lower()
    return re.sub(r"[^\w']+", " ", folded).replace("_", " ").strip()


def word_errors(reference: str, hypothesis: str) -> tuple[int, int]:
    """Errors, and the number of the reference's words; the rate of a corpus is the ratio of the sums.

    Raises:
        DataError: a reference without words, of which there is no rate.
    """
    wanted, heard = normalise(reference).split(), normalise(hypothesis).split()
    if not wanted:
        raise DataError(f"the reference text '{reference}' has no words, so there is no error rate")
    return edit_distance(wanted, heard), len(wanted)


def character_errors(reference: str, hypothesis: str) -> tuple[int, int]:
    """The same of characters, spaces between words included."""
    wanted, heard = normalise(reference), normalise(hypothesis)
    if not wanted:
        raise DataError(f"the reference text '{reference}' has no characters, so there is no error rate")
    return edit_distance(wanted, heard), len(wanted)
