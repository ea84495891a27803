"""Variational dequantisation: the noise within the bins is learned."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import sum_rest
from ornstein.likelihood.dequantise import Dequantisation, Dequantised


@final
class LogitNormal(Dequantisation):
    r"""u = sigmoid(m(x) + s(x) z), z ~ N(0, I): a density on (0, 1) for each coordinate, given the whole of x.

    log q = log N(z) - log s - log u(1 - u). ``network`` maps x, scaled to [-1, 1] by ``levels``, to twice its channels: m, and
    log s - log 1.6, at whose zero the law is nearly uniform. Ho et al. 2019, 1902.00275, section 3.1, who take a flow for q.
    """

    def __init__(self, network: nn.Module, levels: int = 256):
        super().__init__()
        if levels < 2:
            raise UsageError(f"discrete data have at least two levels, got {levels}")
        self.network, self.levels = network, levels

    @classmethod
    def images(cls, channels: int, width: int = 32) -> LogitNormal:
        """Two convolutions, the last one zero: it starts nearly uniform."""
        last = nn.Conv2d(width, 2 * channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        return cls(nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.SiLU(), last))

    def draw(self, x: Tensor, rng: Random) -> tuple[Tensor, Tensor]:
        scaled = 2 * x.float() / (self.levels - 1) - 1
        mean, log_std = self.network(scaled).double().chunk(2, dim=1)
        log_std = log_std + math.log(1.6)
        z = rng.normal(x.shape, dtype=torch.float64, device=x.device)
        logit = mean + log_std.exp() * z
        # log u(1 - u) = log sigmoid(l) + log sigmoid(-l), finite at any l.
        inner = nn.functional.logsigmoid(logit) + nn.functional.logsigmoid(-logit)
        return logit.sigmoid(), sum_rest(-0.5 * (z**2 + math.log(2 * math.pi)) - log_std - inner)


def fit_dequantisation(bound: Dequantised, batches: Iterable[Tensor], rng: Random, lr: float = 1e-2) -> list[float]:
    """Train q(u | x) of ``bound`` by ascent on the bound; the denoiser stays as it is. One step a batch of integers.

    Returns the bound in nats at each step. Take :class:`~ornstein.likelihood.VariationalBound` inside: its draws have gradients.
    """
    parameters = list(bound.noise.parameters())
    if not parameters:
        raise UsageError(f"{type(bound.noise).__name__} has nothing to learn; take LogitNormal")
    optimiser = torch.optim.Adam(parameters, lr=lr)
    seen = []
    for x in batches:
        with torch.enable_grad():
            loss = -bound.draws(x, rng).mean()
            gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimiser.step()
        seen.append(-float(loss.detach()))
    return seen
