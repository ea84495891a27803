"""Derivatives along a direction, by forward-mode automatic differentiation."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module

from torch.autograd import forward_ad


@cache
def _load() -> None:
    """Torch compiles its formulas of forward mode at the first use, by a function that it calls deprecated itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import_module("torch._decomp.decompositions_for_jvp")


@contextmanager
def forward_mode() -> Iterator[None]:
    """Inside, ``forward_ad.make_dual(x, v)`` carries the direction v of x along.

    In contrast to ``torch.func.jvp`` modules may change their buffers, and the value keeps its graph for the backward pass.
    """
    _load()
    with forward_ad.dual_level():
        yield
