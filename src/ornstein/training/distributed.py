"""Several processes that train one model: what they tell each other. torch.distributed does the work; torchrun starts it.

Every process has a part of each batch. Gradients and losses are averaged over processes before anything is decided on them, so
that all make the same step, stop together, and save together. Gradients travel in buckets after the backward pass rather than
from hooks inside it: several players share parameters here, and their losses reach parts of a model only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import final

import torch
import torch.distributed as dist
from torch import Tensor, nn

BUCKET = 25_000_000
"""Bytes of gradients that travel at once: large enough to use the link, small enough not to be felt as memory."""


@final
@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; alone, every method gives back what it got."""

    rank: int = 0
    world: int = 1

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    @staticmethod
    def here() -> Ranks:
        """Of the process group that is up, if one is."""
        if dist.is_available() and dist.is_initialized():
            return Ranks(dist.get_rank(), dist.get_world_size())
        return Ranks()

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over the processes."""
        if self.world == 1:
            return
        bucket: list[Tensor] = []
        size = 0
        for tensor in tensors:
            if bucket and (size >= BUCKET or tensor.dtype != bucket[0].dtype):
                self._travel(bucket)
                bucket, size = [], 0
            bucket.append(tensor)
            size += tensor.numel() * tensor.element_size()
        if bucket:
            self._travel(bucket)

    def _travel(self, bucket: Sequence[Tensor]) -> None:
        flat = torch.cat([t.reshape(-1) for t in bucket])
        dist.all_reduce(flat)
        flat /= self.world
        parts = flat.split([t.numel() for t in bucket])
        torch._foreach_copy_(list(bucket), [p.view_as(t) for p, t in zip(parts, bucket, strict=True)])

    def mean(self, value: float, device: torch.device | str) -> float:
        """The mean over the processes; not a number wherever one of them has none."""
        if self.world == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64, device=device)
        dist.all_reduce(told)
        return told.item() / self.world

    def highest(self, values: Sequence[int], device: torch.device | str) -> list[int]:
        """The largest of each value over the processes: what one of them wants, all do."""
        if self.world == 1:
            return list(values)
        told = torch.tensor(values, dtype=torch.int64, device=device)
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return [int(v) for v in told.tolist()]

    @torch.no_grad()
    def agree(self, model: nn.Module) -> None:
        """Every process takes over the first one's weights and buffers."""
        if self.world > 1:
            for tensor in model.state_dict().values():
                dist.broadcast(tensor, 0)

    def gather(self, state: Tensor) -> list[Tensor]:
        """Every process's tensor (all of one shape, on the CPU), for the one that writes."""
        if self.world == 1:
            return [state]
        told: list[Tensor | None] = [None] * self.world
        dist.all_gather_object(told, state)
        return [t for t in told if t is not None]

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def joined(device: str = "cpu") -> Iterator[tuple[Ranks, str]]:
    """Join the processes that torchrun started, and leave at the end; alone where it started none.

    Gives the ranks and this process's own device: with ``cuda``, the one of its local rank.
    """
    many = int(os.environ.get("WORLD_SIZE", "1")) > 1
    kind = torch.device(device).type
    own = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if many and device == "cuda" else device
    if not many or dist.is_initialized():
        yield Ranks.here(), own
        return
    if kind == "cuda":
        torch.cuda.set_device(own)
    dist.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=timedelta(minutes=10))
    try:
        yield Ranks.here(), own
    finally:
        dist.destroy_process_group()
