"""Randomness is an argument.

``Rng`` holds one generator per sample: what sample *i* draws depends on its own seed and on the order of its own
draws, never on who shares its batch or on the device. ``Stream`` is one generator for a whole batch, for training,
where only the sequence of batches must repeat. Both draw on the CPU and move the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from ornstein.core.errors import UsageError


class Random(ABC):
    """What a distribution, sampler or objective may ask for. ``shape`` always includes the batch."""

    @abstractmethod
    def normal(
        self, shape: Sequence[int], *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Standard normal draws."""

    @abstractmethod
    def uniform(
        self, shape: Sequence[int], *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Draws from U[0, 1)."""

    def normal_like(self, x: Tensor) -> Tensor:
        """Standard normal draws of x's shape, dtype and device."""
        return self.normal(x.shape, dtype=x.dtype, device=x.device)

    def uniform_like(self, x: Tensor) -> Tensor:
        """U[0, 1) draws of x's shape, dtype and device."""
        return self.uniform(x.shape, dtype=x.dtype, device=x.device)

    def between(self, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """Standard normal draws like x for the noise of a step from time t to s.

        Fresh draws here; a :class:`ornstein.core.brownian.Brownian` path answers with its own increment, so that every
        grid of times meets the same noise.
        """
        return self.normal_like(x)

    def normal_where(self, x: Tensor, rows: Tensor) -> Tensor:
        """Standard normal draws like x in the samples where ``rows`` (``[B]`` bool) is true, zeros elsewhere.

        Where each sample has a generator of its own, the others' are left as they are: what a sample draws does not
        depend on how many draws its neighbours need.
        """
        return self.normal_like(x) * rows.to(x).reshape(-1, *[1] * (x.ndim - 1))

    def integers(self, high: int, shape: Sequence[int], *, device: torch.device | str = "cpu") -> Tensor:
        """Integers in ``0 .. high - 1``."""
        u = self.uniform(shape, dtype=torch.float64, device=device)
        return (u * high).long().clamp_(max=high - 1)

    def stratified(self, n: int) -> Tensor:
        """``[n]`` float64 uniforms, one in each n-th of [0, 1)."""
        u = self.uniform((n,), dtype=torch.float64)
        return (u + torch.arange(n, dtype=torch.float64)) / n

    def categorical(self, logits: Tensor) -> Tensor:
        """Draw from softmax(logits) over the last dimension (Gumbel-max): ``[B, ..., K] -> [B, ...]``."""
        u = self.uniform(logits.shape, dtype=torch.float64, device=logits.device)
        return (logits.double() - torch.log(-torch.log(u.clamp_min(1e-300)))).argmax(-1)


class Rng(Random):
    """One seed per sample, for sampling."""

    def __init__(self, seeds: Iterable[int]):
        self.seeds = [int(s) for s in seeds]
        if any(s < 0 for s in self.seeds):
            raise UsageError(f"seeds must be >= 0, got {min(self.seeds)}")
        self._generators = [torch.Generator().manual_seed(s) for s in self.seeds]

    def __len__(self) -> int:
        return len(self.seeds)

    def _draw(
        self,
        fill: Callable[[Tensor, torch.Generator], Tensor],
        shape: Sequence[int],
        dtype: torch.dtype,
        device: torch.device | str,
    ) -> Tensor:
        if shape[0] != len(self):
            raise ValueError(f"asked for a batch of {shape[0]} from an Rng of {len(self)} seeds")
        out = torch.empty(tuple(shape), dtype=dtype)
        for row, generator in zip(out, self._generators, strict=True):
            fill(row, generator)
        return out.to(device)

    def normal(
        self, shape: Sequence[int], *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        return self._draw(lambda row, g: row.normal_(generator=g), shape, dtype, device)

    def uniform(
        self, shape: Sequence[int], *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        return self._draw(lambda row, g: row.uniform_(generator=g), shape, dtype, device)

    def normal_where(self, x: Tensor, rows: Tensor) -> Tensor:
        index = rows.nonzero().flatten().tolist()
        out = torch.zeros_like(x)
        if index:
            out[index] = self.rows(index).normal((len(index), *x.shape[1:]), dtype=x.dtype, device=x.device)
        return out

    def rows(self, indices: Iterable[int]) -> Rng:
        """A view of some samples; it shares their generators, so their draws go on where they were."""
        part = type(self)([])
        for i in indices:
            part.seeds.append(self.seeds[i])
            part._generators.append(self._generators[i])
        return part

    @staticmethod
    def concat(parts: Sequence[Rng]) -> Rng:
        """Join several into one batch, sharing their generators (requests served together)."""
        kinds = {type(part) for part in parts}
        if len(kinds) > 1:
            raise UsageError(
                f"generators of different kinds cannot share a batch: {', '.join(sorted(k.__name__ for k in kinds))}"
            )
        whole = kinds.pop()([]) if kinds else Rng([])
        for part in parts:
            whole.seeds += part.seeds
            whole._generators += part._generators
        return whole


class Stream(Random):
    """One generator for the whole batch, for training. Its state can be saved, so a resumed run draws the same.

    Where ``world`` processes share a batch, each draws all of it and keeps its own rows: together they draw what one process
    would, and all have the same state.
    """

    def __init__(self, seed: int, rank: int = 0, world: int = 1):
        self._generator = torch.Generator().manual_seed(int(seed))
        self.rank, self.world = rank, world

    def _whole(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        return torch.empty((shape[0] * self.world, *shape[1:]), dtype=dtype)

    def _mine(self, whole: Tensor) -> Tensor:
        share = whole.shape[0] // self.world
        return whole if self.world == 1 else whole[self.rank * share : (self.rank + 1) * share].clone()

    def normal(
        self, shape: Sequence[int], *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        return self._mine(self._whole(shape, dtype).normal_(generator=self._generator)).to(device)

    def uniform(
        self, shape: Sequence[int], *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        return self._mine(self._whole(shape, dtype).uniform_(generator=self._generator)).to(device)

    def stratified(self, n: int) -> Tensor:
        """One in each part of [0, 1) that the whole batch is divided into; this process's parts."""
        u = self._whole((n,), torch.float64).uniform_(generator=self._generator)
        return self._mine((u + torch.arange(len(u), dtype=torch.float64)) / len(u))

    def state(self) -> Tensor:
        """The generator's state, a uint8 tensor."""
        return self._generator.get_state()

    def restore(self, state: Tensor) -> None:
        """Go on from a saved state."""
        self._generator.set_state(state.to(torch.uint8).cpu())
