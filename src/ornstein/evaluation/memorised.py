"""Samples that are copies of training images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.core.errors import DataError

RATIO = 1 / 3
BLOCK = 256


@dataclass(frozen=True)
class Nearest:
    """For each sample: its nearest training image, the distance to it, and the distance to the second nearest."""

    index: Tensor
    first: Tensor
    second: Tensor

    @property
    def memorised(self) -> Tensor:
        """``[N]`` bool: the nearest is nearer than a third of the second. Yoon et al. 2023, *Diffusion probabilistic
        models generalize when they fail to memorize*."""
        return self.first < RATIO * self.second


def nearest(samples: Tensor, training: Tensor) -> Nearest:
    """Euclidean distances of ``samples [N, ...]`` to ``training [M, ...]``, whose images must all be different.

    Any space will do, pixels too; a copy that is shifted or mirrored is seen only in a space where that is no distance.
    """
    x, y = samples.reshape(len(samples), -1).float(), training.reshape(len(training), -1).float()
    if len(y) < 2 or x.shape[1] != y.shape[1]:
        raise DataError(
            f"memorisation needs two or more training images of the samples' size; got {tuple(training.shape)} for "
            f"samples {tuple(samples.shape)}"
        )
    pairs = [torch.cdist(x[i : i + BLOCK], y).topk(2, dim=1, largest=False) for i in range(0, len(x), BLOCK)]
    values, index = torch.cat([p.values for p in pairs]), torch.cat([p.indices for p in pairs])
    return Nearest(index[:, 0], values[:, 0], values[:, 1])
