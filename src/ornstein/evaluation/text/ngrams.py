"""Counts of n-grams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

Gram = tuple[str, ...]


def ngrams(tokens: Sequence[str], n: int) -> list[Gram]:
    """All runs of n tokens, in order; none where the text is shorter."""
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def counts(tokens: Sequence[str], n: int) -> Counter[Gram]:
    """How often each run of n tokens occurs."""
    return Counter(ngrams(tokens, n))


def largest(several: Iterable[Counter[Gram]]) -> Counter[Gram]:
    """The largest count of each n-gram in any of them."""
    out: Counter[Gram] = Counter()
    for one in several:
        out |= one
    return out


def clipped(mine: Counter[Gram], theirs: Counter[Gram]) -> int:
    """How many of mine are matched when none counts more often than it occurs in theirs."""
    return sum(min(count, theirs[gram]) for gram, count in mine.items() if gram in theirs)
