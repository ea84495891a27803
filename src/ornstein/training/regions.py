"""The repeated blocks of a network: compiled one by one, or their activations computed again in the backward pass.

Working on blocks keeps both cheap: a compiler that sees one block compiles it once for all its twins, and recomputing a
block costs its forward pass while it saves everything inside it. Both are undone at the end of training, and neither
touches the names of the parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.compiler.config
from torch import nn
from torch.utils.checkpoint import checkpoint

from ornstein.core.errors import UsageError
from ornstein.training.engine import Engine


def blocks(model: nn.Module) -> list[nn.Module]:
    """The modules in the model's lists that are not lists themselves, outermost first, each once."""
    found: list[nn.Module] = []

    def visit(module: nn.Module, inside: bool) -> None:
        if inside and not isinstance(module, nn.ModuleList):
            if any(True for _ in module.parameters()):
                found.append(module)
            return
        for child in module.children():
            visit(child, isinstance(module, nn.ModuleList))

    visit(model, False)
    unique = list(dict.fromkeys(found))
    if not unique:
        raise UsageError(
            f"recompute and compile work on the blocks of a network, its entries in nn.ModuleList; {type(model).__name__} "
            "has none: leave them out"
        )
    return unique


class Recomputed:
    """Mixed into a block's class: in training, keep the inputs only."""

    training: bool

    def forward(self, *args: Any) -> Any:
        """The block's own forward pass, run once more when its gradient is wanted."""
        inner = super().forward  # type: ignore[misc]
        if not (self.training and torch.is_grad_enabled()):
            return inner(*args)
        return checkpoint(inner, *args, use_reentrant=False, preserve_rng_state=True)


@contextmanager
def recomputing(modules: list[nn.Module]) -> Iterator[None]:
    """The blocks recompute inside this block of code.

    Their class is exchanged rather than their ``forward``: a copy of such a module is whole, where a replaced method
    would go on calling the original.
    """
    before = [type(m) for m in modules]
    made = {cls: type(f"Recomputed{cls.__name__}", (Recomputed, cls), {}) for cls in before}
    for module, cls in zip(modules, before, strict=True):
        module.__class__ = made[cls]
    try:
        yield
    finally:
        for module, cls in zip(modules, before, strict=True):
            module.__class__ = cls


@contextmanager
def compiling(modules: list[nn.Module], backend: str) -> Iterator[None]:
    """The blocks are compiled inside this block of code; the first call of each kind takes the time."""
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise UsageError(f"unknown compiler backend '{backend}'; known: {', '.join(sorted(known))}")
    for module in modules:
        module.compile(backend=backend)
    # Blocks of different widths share their code, and a compiler that sees it too often would give up; eight is its limit.
    limit = getattr(torch.compiler.config, "recompile_limit", None)  # older PyTorch keeps it elsewhere
    if limit is not None:
        torch.compiler.config.recompile_limit = max(limit, 4 * len(modules))
    try:
        yield
    finally:
        if limit is not None:
            torch.compiler.config.recompile_limit = limit
        for module in modules:
            module._compiled_call_impl = None


@contextmanager
def prepared(model: nn.Module, engine: Engine) -> Iterator[None]:
    """The model as the engine's options want it."""
    with ExitStack() as stack:
        if engine.recompute:
            stack.enter_context(recomputing(blocks(model)))
        if engine.compile:
            backend = engine.compile if isinstance(engine.compile, str) else "inductor"
            stack.enter_context(compiling(blocks(model), backend))
        yield
