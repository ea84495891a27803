"""Can the model learn one batch by heart? If it cannot, something is wired wrongly, and more data will not help."""

from __future__ import annotations

import dataclasses

from torch import nn

from ornstein.core.errors import OrnsteinError
from ornstein.core.finding import Finding, error, ok
from ornstein.core.rng import Stream
from ornstein.training.engine import Engine
from ornstein.training.player import Player
from ornstein.training.stage import Stage

NAME = "one repeated batch"
ROWS, STEPS, LEAST = 16, 60, 0.1
"""So many images of a batch, so many steps, and the loss must fall by such a part."""


def one_batch(model: nn.Module, stage: Stage, device: str = "cpu") -> Finding:
    """Train ``model``, which is used up by it, on one batch with the same noise at every step; the loss must fall.

    The learning rate is the stage's own, without its warm-up.
    """
    if len(stage.updates) != 1:
        return ok(NAME, f"{len(stage.updates)} players, whose losses need not fall: not judged")
    spec = dataclasses.replace(stage.updates[0].optimizer, warmup=0, decay="constant")
    player = Player(dataclasses.replace(stage.updates[0], optimizer=spec), Engine(device=device))
    model.to(device).train()
    batch = next(iter(stage.data)).to(device)
    batch = batch.split(max(len(batch) // ROWS, 1))[0]
    losses = []
    try:
        for step in range(STEPS):
            losses.append(player.step([batch], Stream(0), step + 1).loss)
    except (OrnsteinError, RuntimeError) as e:  # autograd: a loss that no parameter has a part in
        return error(
            NAME, f"failed at step {len(losses) + 1}: {e}", "lower lr; see that the loss depends on the network"
        )
    fallen = f"the loss went from {losses[0]:.4g} to {losses[-1]:.4g} in {STEPS} steps at lr {spec.lr:g}"
    if not losses[-1] < (1 - LEAST) * losses[0]:
        higher = losses[-1] > losses[0]
        return error(
            NAME,
            f"{fallen}: it does not learn {len(batch)} images by heart",
            f"{'lower' if higher else 'raise'} lr; if that does not help, see that the loss depends on the network, that its "
            "parameters are among those of the update, and that the target is scaled as the output",
        )
    return ok(NAME, fallen)
