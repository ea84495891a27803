"""Texts to be measured: one for each place, or several candidates or references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, final

from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.digests import digest_of
from ornstein.evaluation.text.tokenise import Tokeniser


@final
@dataclass(frozen=True)
class TextSettings:
    """What metrics of texts depend on; those that a metric uses are part of its protocol."""

    tokeniser: Tokeniser = "13a"
    """of all but ROUGE, which has its own: 13a (mteval's, as sacreBLEU), words, characters"""
    order: int = 3
    """of the n-gram model of ngram_perplexity"""
    clusters: int = 0
    """of mauve; 0: a tenth of the smaller set"""
    seed: int = 0
    """of half-samples and clusters"""


@final
class Texts:
    """For each place a text, or several: candidates for the same prompt, references for the same source.

    Empty texts are kept: they score 0 with a warning.

    Raises:
        DataError: no texts, no candidates at some place, something else than texts, all texts empty.
    """

    def __init__(self, texts: Sequence[str | Sequence[str]]):
        if isinstance(texts, str):
            raise DataError("texts are given as a list; put a single one into brackets")
        self.texts = tuple((t,) if isinstance(t, str) else tuple(t) for t in texts)
        if not self.texts:
            raise DataError("there are no texts")
        for i, several in enumerate(self.texts):
            if not several or not all(isinstance(t, str) for t in several):
                raise DataError(
                    f"place {i} has no text" if not several else f"place {i} holds something else than texts"
                )
        if not any(t.strip() for several in self.texts for t in several):
            raise DataError("all texts are empty, so there is nothing to measure")

    @property
    def content_hash(self) -> str:
        return digest_of(part for several in self.texts for part in (str(len(several)), *several))

    @property
    def about(self) -> dict[str, Any]:
        counts = {len(several) for several in self.texts}
        return {"candidates": counts.pop() if len(counts) == 1 else f"{min(counts)} to {max(counts)}"}

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, index: Tensor) -> Self:
        return type(self)([self.texts[i] for i in index.tolist()])

    @property
    def candidates(self) -> int:
        """How many there are at every place; refused where that differs."""
        counts = sorted({len(several) for several in self.texts})
        if len(counts) > 1:
            raise DataError(
                f"all places must have equally many candidates, and they have from {counts[0]} to {counts[-1]}"
            )
        return counts[0]

    @property
    def flat(self) -> list[str]:
        """All of them, place by place."""
        return [t for several in self.texts for t in several]


def require_texts(samples: Texts, other: Texts, name: str) -> None:
    """Nothing to refuse: texts of any number compare; metrics of pairs count them."""
