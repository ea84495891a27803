"""Comparisons whose failure says what was compared."""

from __future__ import annotations

import torch
from torch import Tensor


def close(got: Tensor, wanted: Tensor, what: str, *, rtol: float = 1e-9, atol: float = 1e-9) -> None:
    """Raise AssertionError unless ``got`` equals ``wanted``, in float64 and after broadcasting."""
    a, b = torch.broadcast_tensors(got.double(), wanted.double())
    if bool(torch.isclose(a, b, rtol=rtol, atol=atol, equal_nan=False).all()):
        return
    off = torch.where(a == b, torch.zeros_like(a), (a - b).abs())  # infinities that agree are no error
    worst = int(torch.nan_to_num(off, nan=torch.inf).argmax())
    raise AssertionError(
        f"{what}: got {float(a.flatten()[worst]):.9g}, expected {float(b.flatten()[worst]):.9g} "
        f"(entry {worst} of {a.numel()}, rtol {rtol:g}, atol {atol:g})"
    )


def near_zero(draws: Tensor, what: str, bound: float = 5.0) -> None:
    """Raise AssertionError if the mean of independent ``draws [N, ...]`` is more than ``bound`` standard errors from 0.

    At the default of 5 a correct implementation fails once in two million comparisons, and seeds are fixed.
    """
    draws = draws.double()
    error = draws.std(0) / len(draws) ** 0.5
    z = (draws.mean(0) / error.clamp_min(1e-12)).abs()
    if not bool((z < bound).all()):
        raise AssertionError(f"{what}: the mean of {len(draws)} draws is {float(z.max()):.1f} standard errors off")


def require(condition: bool, message: str) -> None:
    """Raise AssertionError with the message unless the condition holds; not switched off by ``python -O``."""
    if not condition:
        raise AssertionError(message)
