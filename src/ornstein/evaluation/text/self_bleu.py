"""Self-BLEU: how much texts repeat one another; lower is more diverse. Zhu et al. 2018, *Texygen*."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from ornstein.core.errors import DataError
from ornstein.evaluation.text.bleu import ORDER, closest_length, sentence_score
from ornstein.evaluation.text.ngrams import Gram, counts


def self_bleu_each(texts: Sequence[Sequence[str]]) -> list[float]:
    """Sentence BLEU (method 4) of each text with all others as its references, from lists of tokens.

    In time linear in the texts: of each n-gram the two largest counts are kept, so that the largest among the others is known.

    Raises:
        DataError: fewer than two texts.
    """
    if len(texts) < 2:
        raise DataError(f"self-BLEU compares each text with the others and needs at least 2, got {len(texts)}")
    matches = [[0] * ORDER for _ in texts]
    for n in range(1, ORDER + 1):
        own = [counts(t, n) for t in texts]
        top: Counter[Gram] = Counter()
        second: Counter[Gram] = Counter()
        for one in own:
            for gram, count in one.items():
                if count > top[gram]:
                    second[gram], top[gram] = top[gram], count
                elif count > second[gram]:
                    second[gram] = count
        for row, one in zip(matches, own, strict=True):
            row[n - 1] = sum(min(c, second[g] if c == top[g] else top[g]) for g, c in one.items())
    lengths = sorted(len(t) for t in texts)
    out = []
    for text, row in zip(texts, matches, strict=True):
        c = len(text)
        i = bisect_left(lengths, c)  # this text itself, or one of its length: leave one such out
        near = closest_length(c, [*lengths[max(i - 1, 0) : i], *lengths[i + 1 : i + 2]])
        out.append(sentence_score([c, near, *row, *(max(c - n + 1, 0) for n in range(1, ORDER + 1))]))
    return out


def self_bleu(texts: Sequence[Sequence[str]]) -> float:
    """The mean over texts. It grows with their number: compare equal N only."""
    each = self_bleu_each(texts)
    return sum(each) / len(each)
