"""Pairs of noise and what a model makes of it, as a stream of batches: what reflow and other distillations train on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import final

import torch
from torch import Tensor

from ornstein.core.batch import Batch
from ornstein.core.errors import OrnsteinError, UsageError
from ornstein.core.rng import Rng
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.objectives.followers import Follower
from ornstein.samplers.base import simulate
from ornstein.samplers.heun import Heun


@final
class Pairs:
    """Batches ``{"x_0", "x_1"}`` of the flow's two ends, solved by Heun's method from the teacher's weights.

    Pair i starts from the noise of seed ``first + i`` and has label i modulo ``classes``, so that a resumed run sees
    the same ones; each is made when it is first needed and kept. They are used in a new order in every pass.
    """

    def __init__(
        self,
        teacher: Follower[Preconditioned],
        shape: Sequence[int],
        count: int,
        batch: int,
        *,
        grid: Tensor,
        classes: int = 0,
        first: int = 1_000_000,
    ):
        if count < batch:
            raise UsageError(f"there must be at least as many pairs as a batch holds ({batch}), got {count}")
        self.teacher, self.shape, self.count, self.batch = teacher, tuple(shape), count, batch
        self.grid, self.classes, self.first, self.given = grid, classes, first, 0
        self._made = torch.zeros(count, dtype=torch.bool)
        self._x_0, self._x_1 = torch.empty(count, *shape), torch.empty(count, *shape)

    @torch.no_grad()
    def _make(self, rows: Tensor) -> None:
        if not bool(self.teacher.ready):
            raise OrnsteinError(
                "pairs are asked of a teacher that was not trained: run the stage before this one first"
            )
        denoiser = self.teacher.copy.eval()
        device = next(denoiser.parameters()).device
        rng = Rng([self.first + i for i in rows.tolist()])
        x_1 = denoiser.process.prior((len(rows), *self.shape)).sample(rng).to(device)
        cond = {k: v.to(device) for k, v in self._labels(rows).items()}
        x_0 = simulate(Heun(denoiser), x_1, self.grid, rng, cond)
        self._x_0[rows], self._x_1[rows], self._made[rows] = x_0.cpu(), x_1.cpu(), True

    def _labels(self, rows: Tensor) -> dict[str, Tensor]:
        return {"label": rows % self.classes} if self.classes else {}

    def __iter__(self) -> Iterator[Batch[dict[str, Tensor]]]:
        whole = self.count // self.batch
        while True:
            turn, place = divmod(self.given, whole)
            order = torch.randperm(self.count, generator=torch.Generator().manual_seed(self.first + turn))
            rows = order[place * self.batch : (place + 1) * self.batch]
            self.given += 1
            if bool((missing := ~self._made[rows]).any()):
                self._make(rows[missing])
            yield Batch({"x_0": self._x_0[rows], "x_1": self._x_1[rows]}, self._labels(rows))

    def state(self) -> dict[str, int]:
        """How many batches were given."""
        return {"given": self.given}

    def restore(self, state: dict[str, int]) -> None:
        """Go on after so many batches."""
        self.given = state["given"]
