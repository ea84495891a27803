"""What a network's inner layers hold while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND
from ornstein.core.errors import CapabilityError, UsageError, suggest

T = TypeVar("T")


def check_layers(network: nn.Module, names: Sequence[str]) -> None:
    """Refuse names of layers that the network does not have."""
    known = [name for name, _ in network.named_modules() if name]
    for name in names:
        if name not in known:
            raise UsageError(f"{type(network).__name__} has no layer '{name}': {suggest(name, known)}")
    if not names:
        raise UsageError(f"name at least one layer of {type(network).__name__} to read")


def run_tapped(network: nn.Module, names: Sequence[str], run: Callable[[], T]) -> tuple[T, list[Tensor]]:
    """What ``run`` returns, and the outputs ``[B, c, h, w]`` that the named layers gave in it.

    Raises:
        CapabilityError: a layer was not called, or its output is no picture.
    """
    found: dict[str, Tensor] = {}
    with _hooks(network, names, found):
        out = run()
    for name in names:
        if name not in found or found[name].ndim != 4:
            raise CapabilityError(f"layer '{name}' of {type(network).__name__} gave no picture [B, c, h, w] to read")
    return out, [found[name] for name in names]


@contextmanager
def _hooks(network: nn.Module, names: Sequence[str], found: dict[str, Tensor]) -> Iterator[None]:
    def keep(name: str) -> Callable[[nn.Module, tuple[object, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[object, ...], out: Tensor) -> None:
            found[name] = out

        return hook

    handles = [network.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def layer_widths(network: nn.Module, shape: Sequence[int], names: Sequence[str]) -> list[int]:
    """Channels of the named layers' outputs, for states of ``shape`` (without the batch); a state of zeros tells them."""
    check_layers(network, names)
    x = torch.zeros(1, *shape, device=next(network.parameters()).device)
    with torch.no_grad():
        _, found = run_tapped(network, names, lambda: network(x, x.new_zeros(1), NO_COND))
    return [f.shape[1] for f in found]
