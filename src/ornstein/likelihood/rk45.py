r"""Dormand and Prince's embedded pair of orders 5 and 4, with a step size for each sample.

A step common to the batch would let a sample's result depend on its neighbours. Dormand & Prince 1980; the step control
is that of Hairer, Norsett & Wanner 1993, section II.4.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ornstein.core.errors import OrnsteinError, UsageError
from ornstein.core.shapes import sum_rest

Field = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""``(a [n], z [n, ...], rows [n]) -> (dz/da, dl/da [n])`` for some rows of the batch."""

_C = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_A: tuple[tuple[float, ...], ...] = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_E = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
"""Fifth-order weights minus fourth-order ones."""

MOST_STEPS = 10_000


def integrate(
    field: Field,
    z: Tensor,
    log_det: Tensor,
    a: Tensor,
    end: float,
    *,
    tolerance: float = 1e-5,
    steps: int | None = None,
) -> tuple[Tensor, Tensor]:
    """z and the accumulated l at ``end``, from ``z [B, ...]`` and ``log_det [B]`` at ``a [B]``, all float64.

    Args:
        tolerance: of the error of a step, absolute and relative, in z and in l a coordinate.
        steps: so many equal steps instead, without control.

    Raises:
        UsageError: a tolerance that is not positive, or ``steps`` below 1.
        OrnsteinError: the field is not finite, or asks for ever smaller steps (names the samples and the place).
    """
    if not tolerance > 0:
        raise UsageError(f"tolerance must be positive, got {tolerance}")
    if steps is not None and steps < 1:
        raise UsageError(f"steps must be at least 1, got {steps}")
    z, log_det, a = z.clone(), log_det.clone(), a.clone()
    rows = torch.arange(len(z), device=z.device)
    h = (end - a) / (steps if steps is not None else 20)
    span, fixed = (end - a).abs(), h.clone()
    first_z, first_l = field(a, z, rows)
    for _ in range(steps if steps is not None else MOST_STEPS):
        if not len(rows):
            break
        here, step = a[rows], h[rows]
        last = (end - here).abs() <= step.abs() * (1 + 1e-9)
        step = torch.where(last, end - here, step)
        wide = step.reshape(-1, *[1] * (z.ndim - 1))
        k_z, k_l = [first_z[rows]], [first_l[rows]]
        new_z = new_l = z[rows]
        for c, weights in zip(_C[1:], _A[1:], strict=True):
            new_z = z[rows] + wide * _mix(weights, k_z)
            d_z, d_l = field(here + c * step, new_z, rows)
            k_z.append(d_z)
            k_l.append(d_l)
        new_l = log_det[rows] + step * _mix(_A[-1], k_l)
        error = _error(z[rows], new_z, wide * _mix(_E, k_z), step * _mix(_E, k_l), tolerance)
        if not bool((good := error.isfinite()).all()):
            bad = rows[~good].tolist()[:8]
            raise OrnsteinError(
                f"the flow left the finite numbers in samples {bad} at angle {float(here[~good][0]):.4g}: "
                "check the data and the weights"
            )
        accept = torch.ones_like(last) if steps is not None else error <= 1
        done = rows[accept]
        z[done], log_det[done] = new_z[accept], new_l[accept]
        a[done] = torch.where(last[accept], torch.full_like(step[accept], end), (here + step)[accept])
        first_z[done], first_l[done] = k_z[-1][accept], k_l[-1][accept]
        if steps is None:
            factor = (0.9 * error.clamp_min(1e-10) ** -0.2).clamp(0.2, 5.0)
            h[rows] = step * torch.where(accept, factor, factor.clamp(max=0.9))
        else:
            h = fixed
        rows = rows[~(accept & last)]
        if len(rows) and bool((tiny := h[rows].abs() < 1e-12 * span[rows]).any()):
            raise OrnsteinError(
                f"samples {rows[tiny].tolist()[:8]} ask for ever smaller steps; raise tolerance ({tolerance:g}), or "
                "give a number of steps"
            )
    if len(rows):
        raise OrnsteinError(
            f"{len(rows)} samples are not done after {MOST_STEPS} steps; raise tolerance ({tolerance:g}), or give steps"
        )
    return z, log_det


def _mix(weights: tuple[float, ...], parts: list[Tensor]) -> Tensor:
    total = torch.zeros_like(parts[0])
    for w, part in zip(weights, parts, strict=False):
        if w:
            total = total + w * part
    return total


def _error(z: Tensor, new: Tensor, e_z: Tensor, e_l: Tensor, tolerance: float) -> Tensor:
    """The step's error over what is allowed: root mean square over the coordinates, and that of l a coordinate."""
    dims = z[0].numel()
    scale = tolerance * (1 + torch.maximum(z.abs(), new.abs()))
    return torch.maximum((sum_rest((e_z / scale) ** 2) / dims).sqrt(), e_l.abs() / (tolerance * dims))
