"""Low-rank changes of a system's network: what ``ornstein train --lora`` trains, and what a checkpoint of such a run holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ornstein.core.errors import CapabilityError
from ornstein.networks.layers.low_rank import add_low_rank
from ornstein.recipes.system import System


def network_of(system: System) -> nn.Module:
    """The network whose weights are changed.

    Raises:
        CapabilityError: the system has no single one.
    """
    network = getattr(system.denoiser, "network", None)
    if not isinstance(network, nn.Module):
        raise CapabilityError(f"'{system.recipe}' has no single network that low-rank changes could be of")
    return network


def change(system: System, rank: int) -> None:
    """Freeze a system and give its network low-rank changes."""
    system.modules.requires_grad_(False)
    add_low_rank(network_of(system), rank)


def reshape(system: System, meta: Mapping[str, Any]) -> None:
    """Give a new system the form that a checkpoint's weights have."""
    if meta.get("lora") is not None:
        change(system, int(meta["lora"]))
