"""CRPS of the sum over channels: sees whether the channels are drawn jointly. Salinas et al. 2019, 1910.03002.

It can be small with wrong dependence between single channels, so look at the energy score beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.series.collection import Series


def channel_sums(samples: Series, reference: Series) -> tuple[Series, Series]:
    """Draws ``[N, M, L, 1]`` and truth ``[N, 1, L, 1]``, with the steps that are observed.

    Raises:
        DataError: a step at which some channels are observed and some are not: it has no sum.
    """
    cells = reference.cells
    some, every = cells.any(-1), cells.all(-1)
    if bool((some != every).any()):
        n, step = ((some != every).nonzero()[0]).tolist()
        raise DataError(
            f"series {n} is observed in part at step {step}, so its channels have no sum there; take crps, or observe all"
        )
    return Series(samples.x.sum(-1, keepdim=True)), Series(reference.single.sum(-1, keepdim=True), every[..., None])


def crps_sum(draws: Tensor, truth: Tensor) -> Tensor:
    """Of draws ``[N, M, L, K]`` and truth ``[N, L, K]``: the empirical law's CRPS of the sums, ``[N, L]``."""
    from ornstein.evaluation.series.crps import crps

    return crps(torch.as_tensor(draws).double().sum(-1), torch.as_tensor(truth).double().sum(-1))
