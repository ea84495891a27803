"""Which noise goes with which datum: the coupling of a batch, a permutation of rows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError, UsageError

Coupling = Callable[[Tensor, Tensor], Tensor]
"""``(x_0 [B, ...], x_1 [B, ...]) -> x_1`` with its rows in another order, paired with those of ``x_0``."""


def independent(x_0: Tensor, x_1: Tensor) -> Tensor:
    """Pairs as they come."""
    return x_1


def optimal_transport(x_0: Tensor, x_1: Tensor) -> Tensor:
    r"""The permutation that minimises sum_i |x_0^i - x_1^{p(i)}|^2 within the batch.

    Lines of paired points then rarely cross, the flow is straighter, and the marginals stay what they are. Tong et al.
    2024, 2302.00482; Pooladian et al. 2023, 2304.14772. The assignment is exact (O(B^3), on the CPU).
    """
    if len(x_0) != len(x_1):
        raise UsageError(f"a coupling pairs two batches of equal size, got {len(x_0)} and {len(x_1)}")
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as e:
        raise CapabilityError("optimal-transport pairs need scipy: pip install 'ornstein[eval]'") from e
    with torch.no_grad():
        cost = torch.cdist(x_0.flatten(1).double(), x_1.flatten(1).double()) ** 2
        _, order = linear_sum_assignment(cost.cpu().numpy())
    return x_1[torch.from_numpy(order).to(x_1.device)]
