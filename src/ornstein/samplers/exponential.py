r"""Weights of exponential multistep methods: polynomials in lambda = log(alpha/sigma), integrated exactly.

The flow is x_s = sigma_s/sigma_t x_t + alpha_s int_0^h e^{-(h - v)} x_0(lambda_t + v) dv. With x_0 = x_0(t) + p(v), where p is
the polynomial through 0 at v = 0 and through known changes d_k at v_k, the integral of p is sum_k w_k d_k.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def moments(h: Tensor, count: int) -> list[Tensor]:
    r"""int_0^h e^{-(h - v)} v^k dv for k below ``count``: M_0 = 1 - e^{-h}, M_k = h^k - k M_{k-1}."""
    found = [-torch.expm1(-h)]
    for k in range(1, count):
        found.append(h**k - k * found[-1])
    return found


def weights(h: Tensor, nodes: Sequence[Tensor], shortcut: Tensor | None = None) -> list[Tensor]:
    """w_k for the nodes v_k, different and not 0; all 0 in a step that is infinite itself.

    One node may be infinite (the signal vanished at the time it belongs to): its weight is 0, and the others are those of the
    polynomial without it. ``shortcut`` replaces M_1 where there is a single node, as some methods do.
    """
    if not nodes:
        return []
    finite, zero = torch.isfinite(h), torch.zeros_like(h)
    if len(nodes) == 1:
        m_1 = moments(h, 2)[1] if shortcut is None else shortcut
        return [torch.where(finite, m_1 / nodes[0], zero)]
    integrals = moments(h, len(nodes) + 1)
    inverse = [1 / v for v in nodes]
    found = []
    for k, v in enumerate(nodes):
        # v/v_k prod_j (1 - v/v_j)/(1 - v_k/v_j), as coefficients of v^1, v^2, ...; 1/v_j is 0 for an infinite node.
        coefficients = [inverse[k]]
        for j, other in enumerate(inverse):
            if j != k:
                scale = 1 / (1 - v * other)
                kept = [c * scale for c in coefficients]
                moved = [c * other for c in kept]
                coefficients = [kept[0], *(a - b for a, b in zip(kept[1:], moved, strict=False)), -moved[-1]]
        weight = coefficients[0] * integrals[1]
        for c, m in zip(coefficients[1:], integrals[2:], strict=True):
            weight = weight + c * m
        found.append(torch.where(finite, weight, zero))
    return found
