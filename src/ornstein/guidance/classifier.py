"""Guidance by the gradient of a classifier of noisy data."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior
from ornstein.core.errors import UsageError
from ornstein.core.shapes import expand, per_sample
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.branches import moved
from ornstein.guidance.tilt import gradient_of, require_gaussian, tilted
from ornstein.processes.base import GaussianProcess

LogProb = Callable[[Tensor, Tensor, Cond], Tensor]
"""``(x_t, t, cond) -> log p(y | x_t)``, ``[B]``, for the condition's y."""


@final
class Classifier(Denoiser):
    r"""score + scale \nabla log p(y | x_t), that is E[x_0] + scale sigma_t^2/alpha_t \nabla log p(y | x_t).

    At scale 1 and with the exact classifier this is the conditional denoiser (Bayes' rule). The denoiser itself is asked
    with ``cond`` too; wrap an unconditional one. Dhariwal & Nichol 2021, 2105.05233, section 4, algorithm 2; Song et al.
    2021, eq. 14.
    """

    process: GaussianProcess

    def __init__(self, denoiser: Denoiser, log_prob: LogProb, scale: float = 1.0):
        super().__init__()
        if not scale >= 0:
            raise UsageError(f"classifier guidance needs scale >= 0, got {scale}: Without and LowDensity move away")
        self.denoiser, self.process = denoiser, require_gaussian("classifier guidance", denoiser)
        self.log_prob, self.scale = log_prob, scale

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        t = expand(t, x_t)
        posterior = self.denoiser(x_t, t, cond)
        if self.scale == 0:
            return posterior
        gradient = gradient_of(lambda x: self.log_prob(x, t, cond), x_t, "the classifier")
        return moved(posterior, tilted(self.process, posterior.mean, t, self.scale * gradient))


def label_log_prob(network: nn.Module, time_scale: float = 1000.0) -> LogProb:
    """log p(label | x_t) of a network ``(x_t, time_scale t) -> logits [B, K]``; rows without a label are not guided."""

    def log_prob(x_t: Tensor, t: Tensor, cond: Cond) -> Tensor:
        if "label" not in cond:
            raise UsageError("classifier guidance needs a label to move towards: give one, or leave guidance out")
        time = per_sample(time_scale * t, len(x_t)).to(x_t)
        logs = network(x_t, time).log_softmax(-1)
        label = cond["label"]
        if int(label.max()) >= logs.shape[1]:
            raise UsageError(f"label {int(label.max())} is out of range: the classifier knows {logs.shape[1]} classes")
        chosen = logs.gather(1, label.clamp_min(0).unsqueeze(1)).squeeze(1)
        return torch.where(label >= 0, chosen, 0 * chosen)

    return log_prob
