r"""Quantile (pinball) loss: (1[y <= q_a] - a)(q_a - y), least in the mean for the true quantile. Koenker & Bassett 1978."""

from __future__ import annotations

from torch import Tensor

from ornstein.evaluation.series.crps import crps_quantile


def quantile_loss(draws: Tensor, truth: Tensor, levels: tuple[float, ...] = (0.1, 0.5, 0.9)) -> Tensor:
    """Of each cell, the mean over the levels, in the data's unit. Some papers print twice this, or divide by |y|."""
    return crps_quantile(draws, truth, levels) / 2
