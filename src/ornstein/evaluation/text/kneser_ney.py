r"""An n-gram model with interpolated Kneser-Ney smoothing. Kneser & Ney 1995; Chen & Goodman 1998, section 2.7.

P(w | h) = max(c(h w) - D, 0) / c(h) + D N(h) / c(h) P(w | h'), N(h) the number of different words after h, h' without its first
word. Below the highest order c counts the different words before an n-gram, and below the unigrams every known word, the end and
the unknown one are equally likely. D = n_1 / (n_1 + 2 n_2) of each order, n_k the number of n-grams that are counted k times.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import final

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation.text.ngrams import Gram

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"


@final
class KneserNey:
    """Trained on lists of tokens; ``order`` is the largest n.

    Raises:
        DataError: nothing to train on.
        UsageError: an order below 1.
    """

    def __init__(self, texts: Sequence[Sequence[str]], order: int = 3):
        if order < 1:
            raise UsageError(f"the order of an n-gram model must be at least 1, got {order}")
        if not any(texts):
            raise DataError("an n-gram model needs texts with at least one token")
        self.order = order
        self.words = {token for text in texts for token in text} | {END, UNKNOWN}
        self._counts: list[dict[Gram, Counter[str]]] = [defaultdict(Counter) for _ in range(order)]
        highest: Counter[Gram] = Counter()
        for text in texts:
            padded = [BEGIN] * (order - 1) + [*text, END]
            highest.update(tuple(padded[i - order + 1 : i + 1]) for i in range(order - 1, len(padded)))
        level = highest
        for n in range(order, 0, -1):
            for gram, count in level.items():
                self._counts[n - 1][gram[:-1]][gram[-1]] = count
            level = Counter(gram[1:] for gram in level)  # each different word before it counts once
        self._discounts = [self._discount(table) for table in self._counts]
        self._totals = [{h: sum(after.values()) for h, after in table.items()} for table in self._counts]

    @staticmethod
    def _discount(table: dict[Gram, Counter[str]]) -> float:
        seen = Counter(count for after in table.values() for count in after.values())
        # A corpus so regular that no n-gram is seen once, or none twice, gives no estimate.
        return seen[1] / (seen[1] + 2 * seen[2]) if seen[1] and seen[2] else 0.5

    def prob(self, word: str, history: Sequence[str]) -> float:
        """P(word | the last words of history); unknown words count as the unknown one, so that all known sum to 1."""
        word = word if word in self.words else UNKNOWN
        context = tuple(history[len(history) - self.order + 1 :]) if self.order > 1 else ()
        return self._prob(word, context)

    def _prob(self, word: str, context: Gram) -> float:
        n = len(context)
        below = self._prob(word, context[1:]) if n else 1 / len(self.words)
        after = self._counts[n].get(context)
        if after is None:
            return below
        total, discount = self._totals[n][context], self._discounts[n]
        return max(after[word] - discount, 0) / total + discount * len(after) / total * below

    def log_prob(self, text: Sequence[str]) -> float:
        """Of a list of tokens and its end, in nats."""
        padded = [BEGIN] * (self.order - 1) + [*text, END]
        start = self.order - 1
        return sum(math.log(self.prob(padded[i], padded[i - start : i])) for i in range(start, len(padded)))
