"""The loss of a classifier of noisy data."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import nn

from ornstein.codecs.base import Codec
from ornstein.core.batch import Batch
from ornstein.core.errors import DataError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, per_sample
from ornstein.objectives.times import Times
from ornstein.processes.base import Process


@final
class Classifying:
    r"""E -log p(label | x_t, t), x_t ~ q(. | x_0), for a network ``(x_t, 1000 t) -> logits``. Dhariwal & Nichol 2021,
    section 4."""

    def __init__(self, network: nn.Module, process: Process, codec: Codec, times: Times):
        self.network, self.process, self.codec, self.times = network, process, codec, times

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        label = batch.cond.get("label")
        if label is None:
            raise DataError("a classifier is trained on labelled data, and these have no labels")
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, batch.cond)
        t = expand(self.times(rng, len(batch)).to(x_0.device), x_0)
        x_t = self.process.marginal(x_0, t).sample(rng)
        logits = self.network(x_t, per_sample(1000 * t, len(x_t)).to(x_t.dtype))
        known = label >= 0
        loss = F.cross_entropy(logits, label.clamp_min(0), reduction="none") * known
        value = loss.sum() / known.sum().clamp_min(1)
        right = ((logits.argmax(1) == label) & known).sum() / known.sum().clamp_min(1)
        return Loss(value, {"accuracy": float(right)}, (t.detach().reshape(-1), loss.detach()))
