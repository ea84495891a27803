r"""Low-rank changes of a trained network's weights: W + (alpha/r) B A, of which only A and B are trained.

Hu et al. 2021, 2106.09685. ``A [r, in ...]`` is random and ``B [out, r]`` zero, so that training begins at the trained network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ornstein.core.errors import UsageError

WEIGHT = "weight"


@final
class LowRank(nn.Module):
    """What is added to one weight ``[out, in, ...]``."""

    def __init__(self, weight: Tensor, rank: int, alpha: float):
        super().__init__()
        inside = math.prod(weight.shape[1:])
        rank = min(rank, weight.shape[0], inside)
        self.scale = alpha / rank
        bound = 1 / math.sqrt(inside)
        device = weight.device
        self.down = nn.Parameter(torch.empty(rank, inside, device=device).uniform_(-bound, bound))
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank, device=device))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.scale * (self.up @ self.down)).reshape(weight.shape).to(weight.dtype)


def weighted(network: nn.Module) -> dict[str, nn.Module]:
    """The modules of a network whose weight is a matrix or a convolution's; tables of classes are left out."""
    found: dict[str, nn.Module] = {}
    for name, module in network.named_modules():
        weight = module._parameters.get(WEIGHT)
        if weight is not None and weight.ndim in (2, 4) and not isinstance(module, nn.Embedding):
            found[name] = module
    return found


def add_low_rank(
    network: nn.Module, rank: int, alpha: float | None = None, which: Callable[[str], bool] = lambda name: True
) -> dict[str, LowRank]:
    """Freeze a network and give its weights low-rank changes, in place; returns them by the name of the module.

    Args:
        rank: r, at least 1; smaller weights get their own full rank.
        alpha: the change is scaled by alpha / r; r by default, which is no scaling.
        which: the modules that get one, by name.

    Raises:
        UsageError: a rank below 1, or no module is meant.
    """
    if rank < 1:
        raise UsageError(f"the rank of a low-rank change must be at least 1, got {rank}")
    modules = {name: module for name, module in weighted(network).items() if which(name)}
    if not modules:
        raise UsageError("the network has no weight that a low-rank change could be of")
    network.requires_grad_(False)
    for module in modules.values():
        weight: Any = module.weight
        change = LowRank(weight, rank, float(rank if alpha is None else alpha))
        parametrize.register_parametrization(module, WEIGHT, change, unsafe=True)
    return low_rank_of(network)


def low_rank_of(network: nn.Module) -> dict[str, LowRank]:
    """The low-rank changes of a network by the name of the module."""
    found: dict[str, LowRank] = {}
    for name, module in network.named_modules():
        if parametrize.is_parametrized(module, WEIGHT):
            parts: Any = module.parametrizations
            for part in parts[WEIGHT]:
                if isinstance(part, LowRank):
                    found[name] = part
    return found


def merge_low_rank(network: nn.Module) -> nn.Module:
    """Make the changes part of the weights, in place."""
    for name in low_rank_of(network):
        parametrize.remove_parametrizations(network.get_submodule(name), WEIGHT, leave_parametrized=True)
    return network


def without_low_rank(network: nn.Module) -> nn.Module:
    """Take the changes away, in place: the weights are the trained network's again, to the bit."""
    for name in low_rank_of(network):
        parametrize.remove_parametrizations(network.get_submodule(name), WEIGHT, leave_parametrized=False)
    return network
