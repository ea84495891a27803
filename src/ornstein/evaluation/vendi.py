r"""Vendi score: the effective number of different samples, exp H(eigenvalues of K / N). Friedman & Dieng 2023, 2210.02410."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.evaluation.pairwise import require_vectors


def vendi(features: Tensor) -> float:
    r"""With the cosine kernel, of ``[N, D]``: from 1 (all alike) to min(N, D) (all orthogonal).

    K = X X^T of unit rows has the non-zero eigenvalues of X^T X, so the smaller of N x N and D x D is decomposed.
    """
    require_vectors("features", features)
    x = features.double()
    x = x / x.norm(dim=1, keepdim=True).clamp_min(1e-12)
    n, d = x.shape
    values = torch.linalg.eigvalsh((x.T @ x if d < n else x @ x.T) / n).clamp_min(0)
    return float(torch.special.entr(values).sum().exp())
