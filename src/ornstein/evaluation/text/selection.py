"""One text out of several candidates. What was selected, and with which knowledge, belongs to a number's name:

* ``mean``: none is selected; the mean over candidates, what one draw reaches.
* ``mbr``: the candidate that agrees best with the others (minimum Bayes risk), without the reference.
* ``oracle``: the candidate that scores best against the reference: an upper bound, and no result of a system.
"""

from __future__ import annotations

from collections.abc import Sequence

from ornstein.core.errors import DataError
from ornstein.evaluation.text.bleu import sentence_score, statistics


def mbr(candidates: Sequence[Sequence[str]]) -> int:
    """The place of the candidate with the largest mean sentence BLEU to the others (lists of tokens); ties to the first.

    Kumar & Byrne 2004; with BLEU as in DiffuSeq, 2210.08933.
    """
    if len(candidates) < 2:
        raise DataError(f"minimum Bayes risk selects among at least 2 candidates, got {len(candidates)}")
    gains = [
        sum(sentence_score(statistics(one, [other])) for j, other in enumerate(candidates) if j != i)
        for i, one in enumerate(candidates)
    ]
    return max(range(len(gains)), key=lambda i: gains[i])


def oracle(scores: Sequence[float]) -> int:
    """The place of the best score against the reference; ties to the first."""
    return max(range(len(scores)), key=lambda i: scores[i])
