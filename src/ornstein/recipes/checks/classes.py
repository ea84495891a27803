"""Two overlapping classes in the plane, each a mixture of two Gaussians: what guidance of every kind is checked on."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.core.rng import Random
from ornstein.processes.base import GaussianProcess
from ornstein.recipes.checks.toys import ExactDenoiser, Mixture

CLASS = 1
"""The class that is asked for."""


@final
class Classes:
    """Class 0 on the left, class 1 on the right, equally likely; they overlap by a few per cent."""

    def __init__(self, std: float = 0.35):
        means = torch.tensor([[[-0.9, 0.5], [-0.4, -0.7]], [[0.4, 0.7], [0.9, -0.5]]])
        self.parts = [Mixture(m, std) for m in means]
        self.whole = Mixture(means.flatten(0, 1), std)

    def of(self, label: int) -> Mixture:
        """One class."""
        return self.parts[label]

    def sample(self, n: int, rng: Random) -> tuple[Tensor, Tensor]:
        """Points ``[n, 2]`` and their labels."""
        label = rng.integers(2, (n,))
        both = torch.stack([part.sample(n, rng) for part in self.parts])
        return both[label, torch.arange(n)], label

    def denoiser(self, process: GaussianProcess, label: int | None = None) -> ExactDenoiser:
        """The exact denoiser of all data, or of one class."""
        return ExactDenoiser(process, self.whole if label is None else self.parts[label])

    def log_posterior(self, process: GaussianProcess, x_t: Tensor, t: Tensor) -> Tensor:
        """log p(label | x_t), ``[B, 2]``, for one time."""
        alpha, sigma = float(process.alpha(t).flatten()[0]), float(process.sigma(t).flatten()[0])
        return torch.stack([part.log_prob(x_t, alpha, sigma) for part in self.parts], 1).log_softmax(1)


def purity(data: Classes, x: Tensor) -> float:
    """The mean posterior probability of the class that was asked for."""
    logs = torch.stack([part.log_prob(x) for part in data.parts], 1)
    return float(logs.softmax(1)[:, CLASS].mean())
