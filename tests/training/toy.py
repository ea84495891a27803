"""A model, data and a stage that train in milliseconds, with every source of randomness that resuming must keep."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ornstein.core.batch import Batch
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.training import OptimizerSpec, Stage, Update


class Points:
    """A stream of batches: batch number k is a function of k alone. Batch ``poison``, if any, holds a NaN."""

    def __init__(self, poison: int | None = None):
        self.step, self.poison = 0, poison

    def __iter__(self) -> Iterator[Batch]:
        while True:
            x = torch.randn(4, 3, generator=torch.Generator().manual_seed(self.step))
            if self.step == self.poison:
                x[0, 0] = torch.nan
            self.step += 1
            yield Batch(x)

    def state(self) -> dict[str, int]:
        """Where it is."""
        return {"step": self.step}

    def restore(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self.step = state["step"]


class Model(nn.Module):
    """Two players, dropout, a buffer."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.first = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Linear(4, 3))
            self.second = nn.Linear(3, 1)
        self.register_buffer("count", torch.zeros(()))


def stages(model: Model, steps: tuple[int, ...], poison: int | None = None) -> list[Stage]:
    """One stage per entry; the second player moves on every other batch."""

    def regress(batch: Batch, rng: Random) -> Loss:
        noise = rng.normal_like(batch.x)
        error = (model.first(batch.x + noise) - batch.x).square()
        model.count += 1
        t: Tensor = rng.uniform((len(batch),))
        return Loss(error.mean(), levels=(t, error.detach().mean(1)))

    def judge(batch: Batch, rng: Random) -> Loss:
        return Loss((model.second(model.first(batch.x)) - 1).square().mean())

    fast = OptimizerSpec(lr=0.05, warmup=3, decay="cosine", decay_steps=50)
    return [
        Stage(
            f"stage {i}",
            Points(poison if i == 0 else None),
            [
                Update(regress, list(model.first.parameters()), fast),
                Update(judge, list(model.second.parameters()), OptimizerSpec(lr=0.02, weight_decay=0.1), every=2),
            ],
            n,
        )
        for i, n in enumerate(steps)
    ]
