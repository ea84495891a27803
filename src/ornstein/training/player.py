"""One player's step: the gradient of its loss, accumulated over parts of a batch, clipped, applied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from ornstein.core.batch import Batch
from ornstein.core.errors import OrnsteinError
from ornstein.core.rng import Random
from ornstein.core.shards import is_sharded, local
from ornstein.training.distributed import Ranks
from ornstein.training.engine import Engine
from ornstein.training.sharding import Sharding
from ornstein.training.stage import Update

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
ALONE = Ranks()
FLOOR = 1.0
"""Scaled gradients that overflow at no more than this would overflow without scaling: the scale is not to blame."""


class Diverged(OrnsteinError):
    """A loss or a gradient that is not finite; no step was made."""


@dataclass(frozen=True)
class Outcome:
    """What one step did."""

    loss: float
    norm: float
    """of the gradient, before clipping; infinite where loss scaling skipped the step"""
    lr: float
    levels: tuple[Tensor, Tensor] | None
    logs: dict[str, float]
    small: tuple[float, int] | None
    """squared gradient norm of the first part of the batch, and its size; None when the batch was not divided"""


@final
class Player:
    """An update with its optimiser and its loss scale; with ``sharding``, of parameters that are divided among processes."""

    def __init__(self, update: Update, engine: Engine, ranks: Ranks = ALONE, sharding: Sharding | None = None):
        self.update, self.ranks, self.device, self.sharding = update, ranks, engine.device, sharding
        self.optimizer = update.optimizer.build(update.params)
        self.kind = torch.device(engine.device).type
        self.autocast = DTYPES[engine.autocast] if engine.autocast is not None else None
        self.scaler = torch.amp.GradScaler(self.kind, enabled=engine.scaled)

    def _precision(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.autocast is None else torch.autocast(self.kind, dtype=self.autocast)

    def step(self, parts: Sequence[Batch[Any]], rng: Random, number: int) -> Outcome:
        """Move this player's parameters by the mean gradient over the parts of a batch.

        Raises:
            Diverged: the loss or the gradient is not finite; parameters and optimiser are as before.
        """
        params = self.update.params
        total = sum(len(part) for part in parts)
        if self.sharding is not None:
            self.sharding.clear()
            self.sharding.project()
        self.optimizer.zero_grad(set_to_none=True)
        value, small = 0.0, None
        logs: dict[str, float] = {}
        levels: list[tuple[Tensor, Tensor]] = []
        for part in parts:
            share = len(part) / total
            with self._precision():
                loss = self.update.objective(part, rng)
            value += share * self.ranks.mean(loss.value.item(), self.device)
            if not math.isfinite(value):
                raise Diverged(f"the loss is {value}")
            if params:  # an update without parameters measures something and moves nothing
                scaled = self.scaler.scale(loss.value if share == 1 else loss.value * share)
                # Divided parameters are no leaves of the graph: the gathered copies are, which are not known here.
                scaled.backward(inputs=params if self.sharding is None else None)
            if small is None and len(parts) > 1:
                factor = share * self.scaler.get_scale()
                # Divided gradients are means over the processes already.
                many = 1 if self.sharding is None else self.ranks.world
                small = ((float(self._norm()) / factor) ** 2, many * len(part))
            if loss.levels is not None:
                levels.append(loss.levels)
            for name, amount in loss.logs.items():
                logs[name] = logs.get(name, 0.0) + share * amount
        grads = self._grads()
        self.ranks.average(g for g in grads if not is_sharded(g))
        self.scaler.unscale_(self.optimizer)
        norm = self._norm()
        size = float(norm)
        if not math.isfinite(size) and self.scaler.get_scale() <= FLOOR:  # without scaling it is 1
            raise Diverged(f"the loss is {value:.4g}, but its gradient is not finite (norm {size})")
        limit = self.update.optimizer.clip
        if limit is not None and limit < size < math.inf:
            torch._foreach_mul_([local(g) for g in grads], (limit / (norm + 1e-6)).clamp(max=1.0))
        lr = self.update.optimizer.lr_at(number)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.scaler.step(self.optimizer)  # skips the step where a scaled gradient overflowed
        self.scaler.update()
        joined = tuple(torch.cat(column) for column in zip(*levels, strict=True)) if levels else None
        return Outcome(value, size, lr, joined, logs, small)  # type: ignore[arg-type]

    def _grads(self) -> list[Tensor]:
        return [p.grad for p in self.update.params if p.grad is not None]

    def _norm(self) -> Tensor:
        """The norm of all gradients together."""
        if self.sharding is not None:
            return self.sharding.norm(self._grads())
        return torch.nn.utils.get_total_norm(self._grads(), foreach=True)
