"""A model made ready to serve: how each request's steps are made, kept for the next one that asks for the same."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ornstein.core.errors import CapabilityError
from ornstein.recipes.system import System
from ornstein.samplers.base import DenoisingSampler, Sampler, check_grid
from ornstein.serving.meeting import Meeting, share
from ornstein.serving.request import Request

_KEPT = 128
_OWN_NETWORK = frozenset({"perturbed_attention", "skip_layer", "pag", "slg"})
"""Guidance that changes the network itself: its calls are not shared with others."""
_BY_GRID = frozenset({"cfgpp", "cfg++"})
"""Guidance that depends on the grid: steps of another grid are another kind."""


class Guess:
    """E[x_0] of the last call of a denoiser, kept while somebody wants previews."""

    def __init__(self) -> None:
        self.wanted = False
        self.mean: Tensor | None = None

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if self.wanted:
            try:
                self.mean = output.mean
            except CapabilityError:  # only a score is known: the state is shown instead
                self.mean = None


@dataclass(frozen=True)
class Plan:
    """How one request is sampled. Plans of equal ``kind`` share their sampler's steps."""

    move: Sampler
    times: Tensor
    about: dict[str, Any]
    kind: Hashable
    guess: Guess


class Model:
    """A loaded system, its meeting and its plans."""

    def __init__(self, name: str, system: System, most: int, wake: Callable[[], None] = lambda: None):
        self.name, self.system = name, system
        system.modules.eval()
        self.bytes = sum(
            t.numel() * t.element_size() for t in [*system.modules.parameters(), *system.modules.buffers()]
        )
        self.meeting = Meeting(most, wake)
        self.guests = 0
        """tasks that run, each in its own thread"""
        self._thread = threading.local()
        self._plans: OrderedDict[Hashable, Plan] = OrderedDict()

    def shared(self) -> System:
        """The system with a network that is called for all at once."""
        view, thread = (
            copy.copy(self.system),
            self._thread,
        )  # no way back from here to the model: it is freed when unloaded
        view.denoiser = share(self.system.denoiser, self.meeting, lambda: getattr(thread, "inside", False))
        return view

    @contextmanager
    def inside(self) -> Iterator[None]:
        """In a thread that has entered the meeting: it is waited for until it leaves."""
        self._thread.inside = True
        try:
            yield
        finally:
            self._thread.inside = False
            self.meeting.leave()

    def plan(self, request: Request) -> Plan:
        """The sampler, times and description of a request.

        Raises:
            UsageError, CapabilityError: as ``System.sample``.
        """
        r = request
        asked = r.steps, r.sampler, r.grid, r.guidance, r.guidance_method
        if asked in self._plans:
            self._plans.move_to_end(asked)
            return self._plans[asked]
        method = (r.guidance_method or self.system.guidance_method).strip().lower().replace("-", "_")
        system = copy.copy(self.system) if method in _OWN_NETWORK else self.shared()
        move, times, about = system.prepare(r.steps, r.sampler, r.grid, r.guidance, r.guidance_method)
        if (format := getattr(system.denoiser, "autocast", None)) is not None:
            about = {**about, "precision": str(format).removeprefix("torch.")}
        guess = Guess()
        if isinstance(move, DenoisingSampler) and move.denoiser is not self.system.denoiser:
            move.denoiser.register_forward_hook(guess)
        by_grid = method in _BY_GRID or type(system).prepare is not System.prepare
        kind = (
            about["sampler"],
            repr(sorted(about.get("options", {}).items())),
            r.sampler if about.get("options") else None,  # options are told by name only
            about["guidance"],
            method,
            tuple(times.tolist()) if by_grid else None,
        )
        plan = Plan(move, check_grid(times, move.ascends), about, kind, guess)
        self._plans[asked] = plan
        if len(self._plans) > _KEPT:
            self._plans.popitem(last=False)
        return plan
