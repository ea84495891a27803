"""What the checks of trained restoration share: a network for small pictures that sees another, its training, its rival."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.loss import Loss, Objective
from ornstein.core.rng import Random
from ornstein.data import Loader, open_data
from ornstein.data.dataset import Images
from ornstein.training.fit import Engine, Stage, Update, fit
from ornstein.training.optim import OptimizerSpec


@final
class ToldMLP(nn.Module):
    """x, the picture it is told (0 where missing) and Fourier features of t through hidden layers with layer norms."""

    frequencies: Tensor

    def __init__(self, shape: tuple[int, ...], name: str, told: tuple[int, ...], width: int = 256, depth: int = 3):
        super().__init__()
        self.name, self.shape = name, shape
        inside, beside = int(torch.Size(shape).numel()), int(torch.Size(told).numel())
        self.beside = beside
        self.register_buffer("frequencies", torch.pi / 1000 * torch.arange(1, 17))
        layers: list[nn.Module] = [nn.Linear(inside + beside + 32, width)]
        for _ in range(depth - 1):
            layers += [nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, width)]
        self.body = nn.Sequential(*layers, nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, inside))

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        given = cond.get(self.name)
        seen = x.new_zeros(len(x), self.beside) if given is None else given.nan_to_num(0.0).flatten(1)
        angle = t[:, None] * self.frequencies
        out: Tensor = self.body(torch.cat([x.flatten(1), seen, angle.cos(), angle.sin()], 1))
        return out.reshape(x.shape)


def learn(module: nn.Module, objective: Objective, images: Images, steps: int, seed: int, *, batch: int = 128) -> None:
    """One stage with a cosine decay; leaves the averaged weights in place."""
    spec = OptimizerSpec(lr=1e-3, warmup=100, decay="cosine", decay_steps=steps)
    update = Update(objective, list(module.parameters()), spec)
    fit(
        module,
        [Stage("told", Loader(images, batch, seed), [update], steps)],
        Engine(seed=seed, ema_half_life=100 * batch),
    )
    module.eval()


@final
class Regression:
    """|x - net(0, t = 0, cond)|^2: the same network without diffusion."""

    def __init__(self, network: nn.Module):
        self.network = network

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        x = batch.x.float() / 127.5 - 1
        return Loss(F.mse_loss(regressed(self.network, x, batch.cond), x))


def regressed(network: nn.Module, like: Tensor, cond: Cond) -> Tensor:
    """The regression's answer."""
    out: Tensor = network(torch.zeros_like(like), like.new_zeros(len(like)), cond)
    return out


def psnr(a: Tensor, b: Tensor) -> float:
    """Of pictures in [-1, 1], over all of them."""
    return float(10 * torch.log10(4 / ((a.clamp(-1, 1) - b) ** 2).mean()))


def digits(split: str, size: int = 8) -> tuple[Images, Tensor]:
    """The digits, and as floats in [-1, 1]."""
    images = open_data("digits", size=size, split=split)
    return images, torch.from_numpy(images.x.copy()).float() / 127.5 - 1


def in_parts(draw: Callable[[int], Tensor], count: int) -> Tensor:
    """``[count, n, ...]``: so many draws for each of the inputs."""
    return torch.stack([draw(i) for i in range(count)])
