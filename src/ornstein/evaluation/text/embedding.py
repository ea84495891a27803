"""Texts as vectors without a network: hashed counts of words and of pairs of words."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ornstein.evaluation.text.ngrams import ngrams

WIDTH = 1024
NAME = f"hashed words and pairs of words, {WIDTH}"

Embed = Callable[[Sequence[str]], Tensor]
"""texts -> ``[N, D]``"""


def hashed_words(texts: Sequence[str]) -> Tensor:
    """``[N, 1024]``: log(1 + count) of each word and pair of words, small letters, at the place that its CRC-32 says."""
    out = torch.zeros(len(texts), WIDTH, dtype=torch.float64)
    for row, text in zip(out, texts, strict=True):
        words = text.lower().split()
        found = Counter(zlib.crc32(" ".join(g).encode()) % WIDTH for n in (1, 2) for g in ngrams(words, n))
        for place, count in found.items():
            row[place] = math.log1p(count)
    return out
