"""Conjugate gradients, batched: the solver for operators whose singular values are not known."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ornstein.core.shapes import sum_rest


def conjugate_gradient(
    apply: Callable[[Tensor], Tensor],
    b: Tensor,
    *,
    steps: int = 100,
    tolerance: float = 1e-6,
    follow: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """x with ``apply(x) = b`` for a symmetric positive semi-definite ``apply``, each sample ``b [B, ...]`` on its own.

    Started at 0, so that for a singular ``apply`` and a b in its range it is the solution of least norm. A sample rests once
    its residual is below ``tolerance`` times |b|; float64 inside. ``follow`` is told after each call of ``apply`` how much of its
    argument x gained, ``[B, 1, ...]``: sums of what the calls met on the way are so had without another call.
    """
    dtype, shape = b.dtype, (-1, *[1] * (b.ndim - 1))
    b = b.double()
    x, r = torch.zeros_like(b), b.clone()
    p, rr = r.clone(), sum_rest(r * r)
    enough = tolerance**2 * rr
    for _ in range(steps):
        active = rr > enough
        if not bool(active.any()):
            break
        ap = apply(p.to(dtype)).double()
        curve = sum_rest(p * ap)
        going = active & (curve > 0)
        step = torch.where(going, rr / curve.where(going, torch.ones_like(curve)), torch.zeros_like(rr)).reshape(shape)
        x, r = x + step * p, r - step * ap
        if follow is not None:
            follow(step)
        new = sum_rest(r * r)
        grow = torch.where(going, new / rr.where(rr > 0, torch.ones_like(rr)), torch.zeros_like(rr)).reshape(shape)
        p, rr = r + grow * p, torch.where(going, new, enough)
    return x.to(dtype)
