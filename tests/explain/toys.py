"""Systems whose every answer is known: a network that says one picture for a label and another for none."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

import ornstein
from ornstein.core.cond import NO_COND, Cond, is_missing
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import X0
from ornstein.processes.gaussian import VP
from ornstein.recipes.system import System
from ornstein.samplers.table import get

TOLD, UNTOLD = 0.3, 0.1


class Says(nn.Module):
    """out = TOLD (label + 1) where a label is given, UNTOLD where it is missing; x is not looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        label = cond["label"]
        said = torch.where(is_missing(label), torch.tensor(UNTOLD), TOLD * (label + 1.0))
        return said[:, None, None, None].to(x).expand_as(x) * self.weight


class Scaled(nn.Module):
    """out = w x."""

    def __init__(self, w: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w))

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.w * x


def system(network: nn.Module, classes: tuple[str, ...] = ("a", "b")) -> System:
    """A system of 4 x 4 pictures around a network that predicts x_0."""
    built = ornstein.build(
        "ddpm", settings={"size": 4, "channels": 1, "classes": classes, "widths": (8,), "attention": ()}
    )
    process = VP()
    return dataclasses.replace(
        built, denoiser=Preconditioned(network, process, X0()), sampler=get("ddim"), steps=4, guidance=1.0, clip=None
    )
