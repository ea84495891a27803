"""Refusing series that do not move: they have no spectrum and no correlation."""

from __future__ import annotations

from torch import Tensor

from ornstein.core.errors import DataError


def still(x: Tensor) -> Tensor:
    """Which series are constant, ``[N, L, K]`` -> ``[N, K]`` bool, to rounding."""
    x = x.double()
    return (x - x[:, :1]).abs().amax(1) <= 1e-12 * x.abs().amax(1)


def require_moving(x: Tensor, name: str) -> None:
    """Refuse a set of which some channel is constant in all series.

    Raises:
        DataError: names the channels.
    """
    channels = still(x).all(0).nonzero().flatten().tolist()
    if channels:
        raise DataError(
            f"the {name} are constant in channel {', '.join(map(str, channels))}: no spectrum and no correlation; leave the "
            "channel out, or look why the model collapsed"
        )
