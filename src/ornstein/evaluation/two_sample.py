"""Classifier two-sample test: can a classifier tell samples from data? Lopez-Paz & Oquab 2017, 1610.06545."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.evaluation.pairwise import require_vectors

NEWTON_STEPS = 50


@dataclass(frozen=True)
class TwoSample:
    """``accuracy`` on held-out vectors (1/2: cannot be told apart) and the one-sided ``p_value`` of that under equality."""

    accuracy: float
    p_value: float


def logistic_regression(x: Tensor, y: Tensor, penalty: float = 1.0) -> tuple[Tensor, Tensor]:
    r"""Weights ``[D]`` and bias that minimise sum_i log(1 + exp(-y_i (w.x_i + b))) + penalty |w|^2 / 2, ``y`` in {0, 1}.

    Newton's method in float64 to machine precision; the bias is not penalised. ``penalty`` is scikit-learn's 1/C.
    """
    x = torch.cat([x.double(), torch.ones(len(x), 1, dtype=torch.float64)], 1)
    ridge = torch.full((x.shape[1],), float(penalty), dtype=torch.float64)
    ridge[-1] = 0
    w = torch.zeros(x.shape[1], dtype=torch.float64)

    def loss(w: Tensor) -> Tensor:
        z = x @ w
        return torch.nn.functional.softplus(z).sum() - (y * z).sum() + 0.5 * (ridge * w * w).sum()

    y = y.double()
    current = loss(w)
    for _ in range(NEWTON_STEPS):
        p = torch.sigmoid(x @ w)
        gradient = x.T @ (p - y) + ridge * w
        hessian = (x * (p * (1 - p))[:, None]).T @ x + torch.diag(ridge + 1e-10)
        step = torch.linalg.solve(hessian, gradient)
        scale = 1.0
        while (
            new := loss(w - scale * step)
        ) > current and scale > 1e-8:  # far from the minimum a full step may overshoot
            scale /= 2
        w, moved = w - scale * step, current - new
        current = new
        if moved <= 1e-14 * abs(current):
            break
    return w[:-1], w[-1]


def two_sample(samples: Tensor, reference: Tensor, seed: int = 0) -> TwoSample:
    """Logistic regression on standardised ``[N, D]`` against ``[M, D]``: trained on a random half, judged on the other.

    Equally many of both are used, so that 1/2 is chance. Under equal laws the number of right answers is binomial.
    """
    require_vectors("samples", samples, least=4)
    require_vectors("reference", reference, least=4)
    n = min(len(samples), len(reference))
    g = torch.Generator().manual_seed(seed)
    x = torch.cat([v[torch.randperm(len(v), generator=g)[:n]].double() for v in (samples, reference)])
    y = torch.arange(2 * n) < n
    half = n // 2
    train = torch.cat([torch.arange(half), torch.arange(n, n + half)])
    test = torch.cat([torch.arange(half, n), torch.arange(n + half, 2 * n)])
    mean, std = x[train].mean(0), x[train].std(0).clamp_min(1e-12)
    x = (x - mean) / std
    w, b = logistic_regression(x[train], y[train])
    right = ((x[test] @ w + b > 0) == y[test]).double().mean()
    z = (float(right) - 0.5) * 2 * math.sqrt(len(test))
    return TwoSample(float(right), 0.5 * math.erfc(z / math.sqrt(2)))
