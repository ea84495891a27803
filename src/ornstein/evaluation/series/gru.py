"""The small recurrent network of the discriminative and predictive scores."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

BATCH = 128
RATE = 1e-2


class GRU(nn.Module):
    """One layer and a linear head: ``[B, L, K]`` -> ``[B, L, outputs]``, causal."""

    def __init__(self, channels: int, hidden: int, outputs: int):
        super().__init__()
        self.body = nn.GRU(channels, hidden, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs at every step."""
        out: Tensor = self.head(self.body(x)[0])
        return out


def fit(
    x: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor], outputs: int, hidden: int, updates: int, seed: int
) -> GRU:
    """A network trained on ``x [N, L, K]`` and ``y [N, ...]`` with Adam; ``loss(outputs, y)``. The seed decides everything.

    The rate falls to 0 along a half cosine, so that the last steps do not decide the score.
    """
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        network = GRU(x.shape[2], hidden, outputs)
        optimiser = torch.optim.Adam(network.parameters(), RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, updates)
        for _ in range(updates):
            part = torch.randperm(len(x))[:BATCH]
            optimiser.zero_grad()
            loss(network(x[part]), y[part]).backward()
            optimiser.step()
            schedule.step()
    return network.eval()


def scaled(samples: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Both ``[N, L, K]`` in float32, so that each channel of the reference spans [0, 1]."""
    low, high = reference.amin((0, 1)), reference.amax((0, 1))
    span = torch.where(high > low, high - low, torch.ones_like(high))
    return ((samples - low) / span).float(), ((reference - low) / span).float()


def standardised(samples: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Both ``[N, L, K]`` in float32, so that each channel of the reference has mean 0 and standard deviation 1."""
    mean, std = reference.mean((0, 1)), reference.std((0, 1))
    std = torch.where(std > 0, std, torch.ones_like(std))
    return ((samples - mean) / std).float(), ((reference - mean) / std).float()


def shuffled(count: int, seed: int) -> Tensor:
    """The numbers 0 .. count - 1 in random order."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))
