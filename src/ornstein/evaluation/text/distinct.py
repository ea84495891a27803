"""Distinct n-grams: how many different ones there are, of all. Li et al. 2016, 1510.03055."""

from __future__ import annotations

from collections.abc import Sequence

from ornstein.evaluation.text.ngrams import ngrams


def distinct(texts: Sequence[Sequence[str]], n: int) -> float:
    """Different n-grams over all n-grams of all texts together (lists of tokens); 0 where there are none.

    It falls as texts are added: compare equal numbers of tokens only. Of texts about one source it is div-n.
    """
    grams = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def distinct_within(text: Sequence[str], n: int) -> float:
    """The same within one text: low where it repeats itself. Papers on text diffusion print its mean as dist-1."""
    return distinct([text], n)
