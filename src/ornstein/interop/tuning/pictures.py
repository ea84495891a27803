"""Pictures with prompts, encoded once, as a stream of batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import DataError
from ornstein.core.rng import Random
from ornstein.data import Images, open_data
from ornstein.interop.diffusers.pipelines.networks import Autoencoder
from ornstein.interop.diffusers.pipelines.system import Pipeline


def pictures_of(data: str | Path | Images, system: Pipeline) -> Tensor:
    """``[N, 3, H, W]`` in [-1, 1], at the size that the system draws.

    Raises:
        DataError: no pictures, or pictures that are open already and of another size.
    """
    channels, height, width = system.data_shape
    if height != width:
        raise DataError(
            f"pictures are cropped to squares; this system draws {height} x {width}: load it at a square size"
        )
    images = open_data(data, size=height, channels=channels)
    if images.shape != (channels, height, width):
        raise DataError(f"'{images.name}' has pictures of {images.shape}, this system draws {system.data_shape}")
    return torch.from_numpy(np.array(images.x)).float() / 127.5 - 1


@torch.no_grad()
def encoded(pictures: Tensor, codec: Codec, batch: int = 8) -> Tensor:
    """Pictures as the autoencoder's law of latents, mean and deviation ``[N, 2 C, h, w]``; as they are without one."""
    if not isinstance(codec, Autoencoder):
        return pictures
    device = next(codec.parameters()).device
    laws = [codec.model.encode(part.to(device)).latent_dist for part in pictures.split(batch)]
    return torch.cat([torch.cat([law.mean, law.std], 1).float().cpu() for law in laws])


@final
class Drawn(Codec):
    """Latents drawn from laws that are known already: what an :class:`Autoencoder` does after its network."""

    def __init__(self, of: Codec):
        super().__init__()
        self.of = [of]  # not a part: its weights are no one's to save

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        codec = self.of[0]
        if not isinstance(codec, Autoencoder):
            return x
        mean, std = x.chunk(2, 1)
        return (mean + std * rng.normal_like(mean) - codec.shift.to(x)) * codec.scale.to(x)

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.of[0].decode(state, cond)


@final
class Stream:
    """Batches without end: of each group of samples the same number, in an order that depends on the seed.

    Args:
        groups: samples ``x [N, ...]`` with their conditions ``[N, ...]``; a batch holds ``sizes[i]`` of group i, in that order.
    """

    def __init__(self, groups: Sequence[tuple[Tensor, Mapping[str, Tensor]]], sizes: Sequence[int], seed: int):
        self.groups, self.sizes, self.seed, self.at = list(groups), list(sizes), seed, 0

    def __iter__(self) -> Iterator[Batch[Tensor]]:
        while True:
            parts = [self._part(i) for i in range(len(self.groups))]
            self.at += 1
            names = parts[0].cond.keys()
            yield Batch(torch.cat([p.x for p in parts]), {k: torch.cat([p.cond[k] for p in parts]) for k in names})

    def _part(self, group: int) -> Batch[Tensor]:
        x, cond = self.groups[group]
        first = self.at * self.sizes[group]
        index = torch.tensor([self._place(group, len(x), first + i) for i in range(self.sizes[group])])
        return Batch(x[index], {k: v[index] for k, v in cond.items()})

    def _place(self, group: int, n: int, number: int) -> int:
        epoch, place = divmod(number, n)
        order = np.random.default_rng([self.seed, group, epoch]).permutation(n)
        return int(order[place])

    def state(self) -> dict[str, int]:
        """How many batches were drawn."""
        return {"batch": self.at}

    def restore(self, state: dict[str, int]) -> None:
        """Go on after that many."""
        self.at = int(state["batch"])


def told(system: Pipeline, prompts: Sequence[str]) -> dict[str, Tensor]:
    """What the network is told of prompts, without the negative ones."""
    assert system.prompts is not None
    unique = list(dict.fromkeys(prompts))
    found = system.prompts(len(unique), {"prompt": unique}, False)
    index = torch.tensor([unique.index(p) for p in prompts])
    return {k: v.detach().cpu()[index] for k, v in found.items()}
