"""Milliseconds of processor time of a training step of csdi and of PyPOTS' CSDI, of equal size on equal data, in one run.

    python benchmarks/series_step.py

Batches of 16 windows of 48 steps and 5 columns, one thread; the least of several steps, in turns. The peer is given its side
information ready made, which ours makes in every step. Needs PyPOTS (https://pypots.com).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import torch

from ornstein.core.batch import Batch
from ornstein.core.rng import Stream
from ornstein.recipes.series.csdi import CSDI, csdi

BATCH, COLUMNS, LENGTH, SIDE = 16, 5, 48, 145
SIZES = {"paper": (4, 8, 64), "default": (3, 2, 32)}
"""Layers, heads, channels."""


def ours(layers: int, heads: int, width: int, precision: Literal["bf16", "fp32"]) -> tuple[Callable[[], None], int]:
    """A step of the recipe, and its number of parameters."""
    config = CSDI(
        columns=tuple("abcde"), width=width, heads=heads, layers=layers, hidden=64, precision=precision, window=LENGTH
    )
    update = next(csdi(config).stages([])).updates[0]  # type: ignore[arg-type]
    optimizer, rng = update.optimizer.build(update.params), Stream(0)
    position = torch.arange(float(LENGTH)).expand(BATCH, -1)
    batch: Batch[Any] = Batch(torch.randn(BATCH, COLUMNS, LENGTH), {"position": position})

    def step() -> None:
        optimizer.zero_grad()
        update.objective(batch, rng).value.backward()
        optimizer.step()

    return step, sum(p.numel() for p in update.params)


def theirs(layers: int, heads: int, width: int) -> tuple[Callable[[], None], int]:
    """A step of the peer, and its number of parameters."""
    from pypots.nn.modules.csdi.backbone import BackboneCSDI

    net = BackboneCSDI(layers, heads, width, COLUMNS, 128, 16, 128, False, 50, "quad", 1e-4, 0.5)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    x, side = torch.randn(BATCH, COLUMNS, LENGTH), torch.randn(BATCH, SIDE, COLUMNS, LENGTH)
    given = (torch.rand_like(x) < 0.5).float()

    def step() -> None:
        optimizer.zero_grad()
        net.calc_loss(x, given, 1 - given, side).backward()
        optimizer.step()

    return step, sum(p.numel() for p in net.parameters())


def main() -> None:
    """Print a line for each size."""
    torch.set_num_threads(1)
    for size, (layers, heads, width) in SIZES.items():
        made = {
            "PyPOTS": theirs(layers, heads, width),
            "csdi bf16": ours(layers, heads, width, "bf16"),
            "csdi fp32": ours(layers, heads, width, "fp32"),
        }
        least = dict.fromkeys(made, float("inf"))
        for _ in range(8):
            for name, (step, _) in made.items():
                begin = time.process_time()
                step()
                least[name] = min(least[name], time.process_time() - begin)
        print(size, {n: f"{1000 * s:.0f} ms, {made[n][1]} parameters" for n, s in least.items()})


if __name__ == "__main__":
    main()
