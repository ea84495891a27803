"""Predictive score: the error on real series of a recurrent forecaster trained on samples. Yoon et al. 2019, *TimeGAN*."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.series.gru import fit, scaled, shuffled

LEAST = 20


@dataclass(frozen=True)
class Predictive:
    """``score``: mean absolute error of the next step, in units of the channels' ranges, of the network trained on samples;
    ``real`` of one trained on real series; ``error`` and ``real_error`` over the series that it was measured on."""

    score: float
    real: float
    error: float
    real_error: float


def predictive(samples: Tensor, reference: Tensor, hidden: int = 16, updates: int = 500, seed: int = 0) -> Predictive:
    """Of sets ``[N, L, K]`` and ``[M, L, K]``. A random half of the reference is held out to be measured on; the other half,
    and as many samples, train the two networks, so that ``real`` is what perfect samples would reach.

    All channels of the next step are predicted from all before it; TimeGAN's code predicts the last channel from the others.
    """
    half = len(reference) // 2
    if min(half, len(samples)) < LEAST // 2 or samples.shape[1] < 2:
        raise DataError(
            f"the predictive score needs {LEAST} reference series and {LEAST // 2} samples of 2 steps or more, got "
            f"{len(reference)} and {len(samples)}"
        )
    order = shuffled(len(reference), seed)
    a, b = scaled(samples[shuffled(len(samples), seed + 1)[:half]], reference)
    test = b[order[half:]]
    errors = []
    for x in (a, b[order[:half]]):
        network = fit(x[:, :-1], x[:, 1:], lambda out, y: (out - y).abs().mean(), x.shape[2], hidden, updates, seed)
        with torch.no_grad():
            errors.append((network(test[:, :-1]) - test[:, 1:]).abs().double().mean((1, 2)))
    means = [float(e.mean()) for e in errors]
    spreads = [float(e.std() / len(e) ** 0.5) for e in errors]
    return Predictive(means[0], means[1], spreads[0], spreads[1])
