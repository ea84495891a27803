r"""BLEU: BP (p_1 p_2 p_3 p_4)^{1/4} with clipped n-gram precisions p_n and the brevity penalty BP = min(1, exp(1 - r/c)).

Papineni et al. 2002. Values lie in 0 .. 1; many tables print 100 times that. Two that do not compare:

* corpus BLEU (``bleu``): matches are summed over all texts before dividing. A zero among the four is smoothed as mteval and
  sacreBLEU do: the k-th one becomes 1 / (2^k total).
* sentence BLEU (``sentence_bleu``), the mean over texts, smoothed by method 4 of Chen & Cherry 2014 as in NLTK, which papers on
  text diffusion print: the k-th zero becomes ln(c) / (5 2^k total).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.text.ngrams import clipped, counts, largest
from ornstein.evaluation.text.tokenise import mteval_13a

ORDER = 4
Tokens = Sequence[str]


def closest_length(length: int, others: Sequence[int]) -> int:
    """The length among the references that is nearest; the shorter of two."""
    return min(others, key=lambda n: (abs(n - length), n))


def statistics(hypothesis: Tokens, references: Sequence[Tokens]) -> list[int]:
    """c, r, then the matches of orders 1 .. 4 and the numbers of n-grams of those orders."""
    matches, totals = [], []
    for n in range(1, ORDER + 1):
        matches.append(clipped(counts(hypothesis, n), largest(counts(r, n) for r in references)))
        totals.append(max(len(hypothesis) - n + 1, 0))
    return [len(hypothesis), closest_length(len(hypothesis), [len(r) for r in references]), *matches, *totals]


def _penalty(c: float, r: float) -> float:
    return 1.0 if c >= r else math.exp(1 - r / c)


def corpus_score(sums: Sequence[float]) -> float:
    """BLEU of :func:`statistics` summed over texts; 0 where no text has four tokens, or no token matches."""
    c, r, *rest = sums
    matches, totals = rest[:ORDER], rest[ORDER:]
    if matches[0] == 0 or totals[-1] == 0:
        return 0.0
    logs, zeros = 0.0, 0
    for hit, total in zip(matches, totals, strict=True):
        zeros += hit == 0
        logs += math.log(hit / total if hit else 1 / (2**zeros * total))
    return _penalty(c, r) * math.exp(logs / ORDER)


def sentence_score(statistics: Sequence[float]) -> float:
    """BLEU of one text's :func:`statistics`, method 4. A hypothesis of one token has one precision, which is then the score."""
    c, r, *rest = statistics
    matches, totals = rest[:ORDER], rest[ORDER:]
    if matches[0] == 0:
        return 0.0
    logs, zeros = 0.0, 0
    for hit, total in zip(matches, totals, strict=True):
        if hit:
            logs += math.log(hit / total)
        elif c > 1:
            zeros += 1
            logs += math.log(math.log(c) / (5 * 2**zeros) / max(total, 1))
    return _penalty(c, r) * math.exp(logs / ORDER)


def all_statistics(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]], tokenise: Callable[[str], Tokens]
) -> Tensor:
    """``[N, M, 10]`` of M candidates for each of N texts, each with its references."""
    if len(hypotheses) != len(references):
        raise DataError(f"{len(hypotheses)} hypotheses for {len(references)} references")
    rows = []
    for mine, theirs in zip(hypotheses, references, strict=True):
        known = [tokenise(t) for t in theirs]
        rows.append([statistics(tokenise(h), known) for h in mine])
    return torch.tensor(rows, dtype=torch.float64)


def bleu(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], tokenise: Callable[[str], Tokens] = mteval_13a
) -> float:
    """Corpus BLEU of N texts against one or several references each."""
    return corpus_score(all_statistics([(h,) for h in hypotheses], references, tokenise)[:, 0].sum(0).tolist())


def sentence_bleu(hypothesis: str, references: Sequence[str], tokenise: Callable[[str], Tokens] = mteval_13a) -> float:
    """Of one text."""
    return sentence_score(statistics(tokenise(hypothesis), [tokenise(r) for r in references]))
