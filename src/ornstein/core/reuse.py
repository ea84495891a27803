"""Networks of which the inner part may be left out: what it gave at a former call stands in for it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Inner:
    """What the inner part of a network gave. Where ``value`` is None the part is run and its answer put here."""

    value: Tensor | None = None


class Reusable:
    """A network whose forward pass takes ``inner: Inner | None = None`` after its other arguments; see :attr:`no_inner`."""

    @property
    def no_inner(self) -> str:
        """Why this network has no part that could be left out; empty where it has one."""
        return ""
