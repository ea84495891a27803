"""Discriminative score: |accuracy - 1/2| of a recurrent classifier between samples and data. Yoon et al. 2019, *TimeGAN*."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ornstein.core.errors import DataError
from ornstein.evaluation.series.gru import fit, shuffled, standardised

LEAST = 20
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Discriminative:
    """``score`` = |accuracy - 1/2|: 0, they cannot be told apart, to 1/2. ``error``: of the accuracy, binomial."""

    score: float
    accuracy: float
    error: float


def discriminative(
    samples: Tensor, reference: Tensor, hidden: int = 16, updates: int = 500, seed: int = 0
) -> Discriminative:
    """Of sets ``[N, L, K]`` and ``[M, L, K]``: equally many of both, trained on four fifths, judged on the rest.

    Numbers compare only for equal N, hidden and updates: a larger network, or more data, tells more apart.
    """
    n = min(len(samples), len(reference))
    if n < LEAST:
        raise DataError(f"the discriminative score needs at least {LEAST} series of both, got {n}")
    a, b = (x[shuffled(len(x), seed + i)[:n]] for i, x in enumerate(standardised(samples, reference)))
    test = max(round(TEST_SHARE * n), 1)
    x, held_out = torch.cat([a[test:], b[test:]]), torch.cat([a[:test], b[:test]])
    y = (torch.arange(len(x)) >= n - test).float()
    network = fit(x, y, lambda out, y: binary_cross_entropy_with_logits(out[:, -1, 0], y), 1, hidden, updates, seed)
    with torch.no_grad():
        said = network(held_out)[:, -1, 0] > 0
    accuracy = float((said == (torch.arange(2 * test) >= test)).double().mean())
    error = (max(accuracy * (1 - accuracy), 1 / (8 * test)) / (2 * test)) ** 0.5  # not 0 when all are right
    return Discriminative(abs(accuracy - 0.5), accuracy, error)
