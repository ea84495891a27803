"""ROUGE: F1 of the n-grams (ROUGE-1, ROUGE-2) or of the longest common subsequence (ROUGE-L). Lin 2004.

Without stemming, sentence-level ROUGE-L, of several references the best: as Google's rouge-score package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ornstein.evaluation.text.ngrams import clipped, counts
from ornstein.evaluation.text.tokenise import rouge_tokens

Kind = Literal["1", "2", "L"]
KINDS: tuple[Kind, ...] = ("1", "2", "L")


def common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """The length of the longest common subsequence, a row of the table in one whole number (Hyyro 2004)."""
    places: dict[str, int] = {}
    for i, token in enumerate(a):
        places[token] = places.get(token, 0) | 1 << i
    every = (1 << len(a)) - 1
    row = every
    for token in b:
        hit = row & places.get(token, 0)
        row = ((row + hit) | (row - hit)) & every
    return len(a) - row.bit_count()


def _f1(common: int, mine: int, theirs: int) -> float:
    return 2 * common / (mine + theirs) if common else 0.0


def rouge_of_tokens(mine: Sequence[str], theirs: Sequence[str], kind: Kind) -> float:
    """F1 of two lists of tokens."""
    if kind == "L":
        return _f1(common_subsequence(mine, theirs), len(mine), len(theirs))
    n = int(kind)
    common = clipped(counts(mine, n), counts(theirs, n))
    return _f1(common, len(mine) - n + 1, len(theirs) - n + 1)


def rouge(hypothesis: str, references: Sequence[str], kind: Kind) -> float:
    """F1 of a text with the reference where it is largest; 0 for an empty text."""
    mine = rouge_tokens(hypothesis)
    return max(rouge_of_tokens(mine, rouge_tokens(r), kind) for r in references)
