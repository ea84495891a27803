r"""Two players: a critic that tells data from draws, and a generator that it cannot tell. Goodfellow et al. 2014."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.codecs.base import Codec, Scale
from ornstein.core.batch import Batch
from ornstein.core.errors import DataError, UsageError, unknown
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import sum_rest
from ornstein.objectives.followers import Counter

Rule = Literal["non_saturating", "hinge"]

CRITIC: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "non_saturating": lambda real, fake: (F.softplus(-real) + F.softplus(fake)).mean(),
    "hinge": lambda real, fake: (F.relu(1 - real) + F.relu(1 + fake)).mean(),
}
"""The critic's loss of its outputs on data and on draws; at the optimum of the first, D = log p_data/p_draws."""

GENERATOR: dict[str, Callable[[Tensor], Tensor]] = {
    "non_saturating": lambda fake: F.softplus(-fake).mean(),
    "hinge": lambda fake: -fake.mean(),
}
"""The generator's."""


class _Adversarial:
    def __init__(self, critic: nn.Module, generator: Codec, width: int, rule: Rule = "non_saturating"):
        if rule not in get_args(Rule):
            raise unknown("rule of an adversarial loss", rule, get_args(Rule))
        self.critic, self.generator, self.width, self.rule = critic, generator, width, rule

    def draw(self, n: int, rng: Random, like: Tensor) -> Tensor:
        """Draws of fresh latents."""
        return self.generator.decode(rng.normal((n, self.width), device=like.device))


class Criticising(_Adversarial):
    r"""E l(D(x), D(G(z))) + (gamma/2) E |grad_x D(x)|^2, for the critic.

    The penalty on data (R1, Mescheder et al. 2018, 1801.04406) is taken every ``every`` calls and then counts ``every``
    times (Karras et al. 2020); ``calls`` counts them, so that a resumed run goes on.
    """

    def __init__(
        self,
        critic: nn.Module,
        generator: Codec,
        width: int,
        rule: Rule = "non_saturating",
        gamma: float = 0.0,
        every: int = 1,
        calls: Counter | None = None,
        bounded: bool = True,
    ):
        super().__init__(critic, generator, width, rule)
        if gamma < 0 or every < 1:
            raise UsageError(f"gamma must be at least 0 and every at least 1, got {gamma:g} and {every}")
        self.gamma, self.every, self.calls, self.bounded = gamma, every, calls or Counter(), bounded

    def __call__(self, batch: Batch[Any], rng: Random) -> Loss:
        real = Scale().encode(batch.x, rng)
        if self.bounded and (most := float(real.abs().max())) > 1 + 1e-3:
            raise DataError(
                f"the data reach {most:.4g}, and a generator that ends in tanh stays within [-1, 1]: rescale the data"
            )
        with torch.no_grad():
            fake = self.draw(len(real), rng, real)
        penalised = self.gamma > 0 and self.calls.next() % self.every == 0
        real.requires_grad_(penalised)
        on_real, on_fake = self.critic(real), self.critic(fake)
        value = CRITIC[self.rule](on_real, on_fake)
        logs = {"critic_real": float(on_real.detach().mean()), "critic_fake": float(on_fake.detach().mean())}
        if penalised:
            (slope,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
            penalty = sum_rest(slope**2).mean()
            value = value + 0.5 * self.gamma * self.every * penalty
            logs["penalty"] = float(penalty.detach())
        return Loss(value, logs)


class Generating(_Adversarial):
    """E l(D(G(z))), for the generator; fresh z, not those of the critic's step."""

    def __call__(self, batch: Batch[Any], rng: Random) -> Loss:
        like = batch.x
        return Loss(GENERATOR[self.rule](self.critic(self.draw(len(like), rng, like))))
