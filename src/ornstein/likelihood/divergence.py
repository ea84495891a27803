"""The divergence of a vector field: the exact trace of its Jacobian, or an unbiased estimate."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ornstein.core.rng import Random
from ornstein.core.shapes import sum_rest

Field = Callable[[Tensor], Tensor]


def exact(field: Field, x: Tensor) -> tuple[Tensor, Tensor]:
    """f(x) and sum_i df_i/dx_i, ``[B]``: one backward pass a coordinate."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = field(x)
        flat = value.flatten(1)
        total = torch.zeros(len(x), dtype=flat.dtype, device=flat.device)
        for i in range(flat.shape[1]):
            (row,) = torch.autograd.grad(flat[:, i].sum(), x, retain_graph=i + 1 < flat.shape[1])
            total = total + row.flatten(1)[:, i]
    return value.detach(), total.detach()


def hutchinson(field: Field, x: Tensor, probe: Tensor) -> tuple[Tensor, Tensor]:
    """f(x) and probe' (df/dx) probe, ``[B]``: one backward pass. Hutchinson 1989; Grathwohl et al. 2019, 1810.01367."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = field(x)
        (product,) = torch.autograd.grad((value * probe).sum(), x)
    return value.detach(), sum_rest(product * probe).detach()


def rademacher(x: Tensor, rng: Random) -> Tensor:
    """Signs, each with probability 1/2: among probes of unit variance those of least spread."""
    return (rng.uniform_like(x) < 0.5).to(x) * 2 - 1
