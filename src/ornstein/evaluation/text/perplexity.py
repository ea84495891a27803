r"""Perplexity exp(-sum log p / number of tokens) of texts under a judge: an n-gram model, or any causal model.

The end of each text is a token; what the first token is conditioned on is not. A judge likes what repeats itself, so the entropy
of the words that were used stands beside it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.text.kneser_ney import KneserNey

CausalModel = Callable[[Tensor], Tensor]
"""ids ``[1, L]`` int64 -> logits ``[1, L, V]``; those at place i judge the token at i + 1"""


def ngram_log_probs(model: KneserNey, texts: Sequence[Sequence[str]]) -> Tensor:
    """Of each text (list of tokens): log p in nats and the number of tokens with the end, ``[N, 2]``."""
    return torch.tensor([[model.log_prob(t), len(t) + 1] for t in texts], dtype=torch.float64)


def causal_log_probs(model: CausalModel, encode: Callable[[str], Sequence[int]], texts: Sequence[str]) -> Tensor:
    """The same under a causal model: ``encode`` gives a text's ids with its begin token (and its end, if that shall count).

    Raises:
        DataError: a text of fewer than two ids, logits of another shape or not finite.
    """
    rows = []
    for i, text in enumerate(texts):
        ids = torch.tensor([list(encode(text))], dtype=torch.int64)
        if ids.shape[1] < 2:
            raise DataError(
                f"text {i} has {ids.shape[1]} tokens, and a causal model judges from the second on; let `encode` add a begin "
                "token, and leave out empty texts"
            )
        with torch.no_grad():
            logits = model(ids)
        if logits.ndim != 3 or logits.shape[:2] != ids.shape:
            raise DataError(f"the model must give logits [1, {ids.shape[1]}, V], got {tuple(logits.shape)}")
        log_p = logits[0, :-1].double().log_softmax(-1).gather(1, ids[0, 1:, None].to(logits.device))
        if not bool(torch.isfinite(log_p).all()):
            raise DataError(f"the model gives text {i} the probability 0 or NaN, so it has no perplexity")
        rows.append([float(log_p.sum()), ids.shape[1] - 1])
    return torch.tensor(rows, dtype=torch.float64)


def perplexity(log_probs: Tensor) -> float:
    """Of the two columns of the functions above, over all tokens of all texts."""
    total, tokens = log_probs.sum(0).tolist()
    return math.exp(-total / tokens)


def word_entropy(texts: Sequence[Sequence[str]]) -> float:
    """-sum p log p in nats over the words of all texts, with their shares p."""
    words = Counter(token for text in texts for token in text)
    total = sum(words.values())
    return -sum(c / total * math.log(c / total) for c in words.values())
