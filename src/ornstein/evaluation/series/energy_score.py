r"""Energy score of a joint law: E|X - y| - 1/2 E|X - X'| with Euclidean norms. Gneiting & Raftery 2007, eq. 22."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.evaluation.series.ensemble import require_ensemble


def energy_score(draws: Tensor, truth: Tensor) -> Tensor:
    """Of draws ``[N, M, D]`` and truth ``[N, D]``, ``[N]``: of the empirical law; in one dimension it is the CRPS."""
    x, y = require_ensemble(draws, truth)
    to_truth = (x - y[:, None]).norm(dim=-1).mean(1)
    # One at a time: M x M x D differences of all would not fit.
    apart = torch.stack([torch.cdist(v, v, compute_mode="donot_use_mm_for_euclid_dist").mean() for v in x])
    return to_truth - 0.5 * apart
