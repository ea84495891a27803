"""What a network's inner layers hold while it runs, and a small head that reads each pixel of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


@final
class PixelHead(nn.Module):
    """Layers' outputs, each brought to the size of the picture, and features of t: a multilayer perceptron of each pixel.

    ``features`` ``[B, c_i, h_i, w_i]`` with ``widths`` c_i, ``t [B]`` in [0, 1] to ``[B, outputs, *size]``.
    """

    def __init__(self, widths: Sequence[int], size: tuple[int, int], outputs: int = 1, hidden: int = 64):
        super().__init__()
        self.widths, self.size = tuple(widths), size
        self.body = nn.Sequential(
            nn.Conv2d(sum(widths) + 8, hidden, 1),
            nn.SiLU(),
            nn.Conv2d(hidden, hidden, 1),
            nn.SiLU(),
            nn.Conv2d(hidden, outputs, 1),
        )

    def forward(self, features: Sequence[Tensor], t: Tensor) -> Tensor:
        if tuple(f.shape[1] for f in features) != self.widths:
            raise UsageError(f"this head reads layers of {self.widths} channels, got {[f.shape[1] for f in features]}")
        large = [F.interpolate(f.float(), size=self.size, mode="bilinear") for f in features]
        angle = torch.pi / 2 * t.to(large[0])[:, None] * torch.arange(1, 5, device=t.device)
        told = torch.cat([angle.cos(), angle.sin()], 1)[:, :, None, None].expand(-1, -1, *self.size)
        out: Tensor = self.body(torch.cat([*large, told], 1))
        return out
