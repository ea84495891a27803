"""Networks with some layers left out or dulled, as views that share every parameter.

What perturbed-attention and skip-layer guidance compare a network with. A view is another module tree around the same
parameters and buffers: no flag is set on the network itself, so threads may use both at once.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

from torch import nn

from ornstein.core.errors import CapabilityError, UsageError, suggest

Perturbation = Literal["identity", "skip"]
"""``identity``: attention in which every place attends to itself alone; ``skip``: the layer hands on what it was given."""


class Perturbable:
    """A layer that can be perturbed: it reads ``perturbation`` in its forward pass."""

    perturbation: Perturbation | None = None

    @property
    def perturbations(self) -> tuple[Perturbation, ...]:
        """The kinds that this layer takes."""
        return ()


def layers(network: nn.Module, kind: Perturbation) -> list[str]:
    """The names of a network's layers that take this perturbation, in the order in which they are registered."""
    return [n for n, m in network.named_modules() if isinstance(m, Perturbable) and kind in m.perturbations]


def perturbed(network: nn.Module, kind: Perturbation, names: Sequence[str] | None = None) -> nn.Module:
    """A view of the network with the named layers perturbed; by default the middle one of :func:`layers`.

    Raises:
        CapabilityError: the network has no such layer.
        UsageError: a name that is none of them (the nearest is named).
    """
    known = layers(network, kind)
    if not known:
        raise CapabilityError(
            f"{type(network).__name__} has no layer for the perturbation '{kind}': it needs "
            + ("self-attention" if kind == "identity" else "blocks that keep the shape")
        )
    if names is not None and not names:
        raise UsageError(f"name at least one layer to perturb: {', '.join(known)}")
    chosen = names if names is not None else [known[(len(known) - 1) // 2]]
    for name in chosen:
        if name not in known:
            raise UsageError(f"the network has no layer '{name}' for '{kind}': {suggest(name, known)}")
    view, twins = view_of(network, chosen)
    for twin in twins:
        twin.perturbation = kind  # type: ignore[assignment]
    return view


def view_of(network: nn.Module, names: Sequence[str]) -> tuple[nn.Module, list[nn.Module]]:
    """Another module tree around the same parameters, and the named layers in it: objects of its own, to be changed at will."""
    view = _view(network)
    twins = []
    for name in names:
        parent = view
        for part in name.split("."):
            child = _view(parent._modules[part])
            parent._modules[part] = child
            parent = child
        twins.append(parent)
    return view, twins


def _view(module: nn.Module | None) -> nn.Module:
    """The same module, parameters and all, with children that can be exchanged."""
    assert module is not None
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin
