"""The models that an engine serves: loaded when first asked for, the one unused for longest unloaded where memory is short."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ornstein.core.errors import UsageError, unknown
from ornstein.recipes.system import System
from ornstein.serving.errors import UnknownModel
from ornstein.serving.plans import Model
from ornstein.serving.precision import Precision, settle
from ornstein.serving.words import reads_text

Loader = Callable[[], System]
"""Gives the system, ready and of the engine's own: it is moved to the engine's device and never trained."""


def loader(what: str | Path, *, precision: Precision = "float32", device: str = "cpu") -> Loader:
    """The loader of whatever :func:`ornstein.load` reads.

    Args:
        what: a name, a run, a checkpoint, a folder.
        precision: of network calls, see :func:`ornstein.serving.precision.settle`.
        device: where the engine will compute.
    """

    def load() -> System:
        from ornstein.interop.load import load

        return settle(load(what), precision, device)

    return load


@dataclass(frozen=True)
class Described:
    """What is known of a model once it was loaded."""

    name: str
    recipe: str
    shape: tuple[int, ...]
    """of one sample"""
    classes: tuple[str, ...]
    reads_text: bool
    sampler: str
    """the default, as are the next two"""
    steps: int
    guidance: float
    bytes: int

    @classmethod
    def of(cls, model: Model) -> Described:
        """The description of a loaded model."""
        s = model.system
        return cls(
            model.name,
            s.recipe,
            s.data_shape,
            s.classes,
            reads_text(s),
            s.sampler.name,
            s.steps,
            s.guidance,
            model.bytes,
        )


class Models:
    """Loaders by name, and what is loaded. Only the engine's thread changes it."""

    def __init__(
        self, loaders: Mapping[str, Loader], memory_limit: int | None, most: int, device: str, wake: Callable[[], None]
    ):
        if not loaders:
            raise UsageError("an engine needs at least one model")
        self.loaders = dict(loaders)
        self.memory_limit, self.most, self.device, self._wake = memory_limit, most, device, wake
        self.loaded: dict[str, Model] = {}
        self._used: dict[str, float] = {}
        self.described: dict[str, Described] = {}
        """those that were loaded at least once"""
        self.loads = 0
        """how often a model was loaded"""
        self.past_calls = self.past_rows = 0
        """of networks of models that were unloaded"""

    def require(self, name: str) -> None:
        """Refuse a name that is not served."""
        if name not in self.loaders:
            raise UnknownModel(str(unknown("model", name, self.loaders)))

    @property
    def bytes(self) -> int:
        """Of all weights that are loaded."""
        return sum(m.bytes for m in self.loaded.values())

    def get(self, name: str, busy: frozenset[str] = frozenset()) -> Model | None:
        """The model, loaded if need be; None while those in use (``busy``) leave no room for it.

        Raises:
            UsageError: it alone takes more than the limit.
        """
        self._used[name] = time.monotonic()
        if name in self.loaded:
            return self.loaded[name]
        size = self.described[name].bytes if name in self.described else 0  # not known before the first time
        if not self._make_room(size, busy):
            return None
        model = Model(name, self.loaders[name]().to(self.device), self.most, self._wake)
        model.meeting.host()
        self.loads += 1
        self.described[name] = Described.of(model)
        if self.memory_limit is not None and model.bytes > self.memory_limit:
            raise UsageError(
                f"model '{name}' takes {model.bytes / 1e6:.0f} MB, and the limit is {self.memory_limit / 1e6:.0f} MB: "
                "raise the memory limit"
            )
        if not self._make_room(model.bytes, busy):
            return None
        self.loaded[name] = model
        return model

    def _make_room(self, size: int, busy: frozenset[str]) -> bool:
        """Unload idle models, those unused for longest first, until ``size`` bytes fit; whether they do."""
        if self.memory_limit is None:
            return True
        while self.bytes + size > self.memory_limit:
            idle = [name for name in self.loaded if name not in busy]
            if not idle:
                return False
            gone = self.loaded.pop(min(idle, key=lambda name: self._used[name]))
            self.past_calls += gone.meeting.calls
            self.past_rows += gone.meeting.rows
            del gone
        return True
