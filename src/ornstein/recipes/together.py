"""Samples drawn by several processes: each draws its share of the seeds, one of them gets all."""

from __future__ import annotations

import torch.distributed as dist

from ornstein.recipes.samples import Samples
from ornstein.training.distributed import Ranks


def shares(n: int, batch: int, ranks: Ranks) -> list[range]:
    """The batches of this process, as places among ``n`` samples.

    Where there are as many batches as processes they are those of one process, to the last bit of what comes out; where
    there are fewer, they are made smaller so that all have work.
    """
    size = min(batch, -(-n // ranks.world))
    starts = range(0, n, size)
    return [range(start, min(start + size, n)) for start in starts[ranks.rank :: ranks.world]]


def gathered(mine: list[Samples], calls: int, ranks: Ranks) -> tuple[Samples | None, int]:
    """All samples in the order of their seeds and the sum of ``calls``, in the process that writes; None in the others."""
    if ranks.world == 1:
        return Samples.join(mine), calls
    everyone: list[tuple[list[Samples], int] | None] | None = [None] * ranks.world if ranks.main else None
    dist.gather_object((mine, calls), everyone)
    if everyone is None:
        return None, calls
    told = [given for given in everyone if given is not None]
    return Samples.join([part for parts, _ in told for part in parts]), sum(n for _, n in told)
