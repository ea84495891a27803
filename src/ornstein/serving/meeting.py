"""Where samplers that want the same network wait for one another, so that one call serves all of them.

A sampler asks its denoiser, and the denoiser its network, in the middle of a step. The step runs in a thread of its own and
stops there; when no other thread of the round has anything left to do before its own question, the questions are put to the
network as one batch. What the samplers have in common is then the network alone: their kinds, times, guidance and conditions
may differ.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ornstein.core import cond as conditions
from ornstein.denoisers.denoiser import Denoiser
from ornstein.serving.sizes import FREE, in_sizes


class Call:
    """One question to a network, and its answer."""

    def __init__(self, network: nn.Module, inputs: tuple[Any, ...], counted: bool):
        self.network, self.inputs, self.counted = network, inputs, counted
        x = inputs[0]
        self.rows = int(x.shape[0])
        self.device = x.device.type
        self.autocast = torch.get_autocast_dtype(self.device) if torch.is_autocast_enabled(self.device) else None
        self.answer: Any = None
        self.error: Exception | None = None
        self.answered = False

    @property
    def key(self) -> Hashable:
        """Calls with equal keys can be one call."""
        parts: list[Hashable] = [id(self.network), self.autocast]
        for given in self.inputs:
            if isinstance(given, Tensor):
                parts.append(("tensor", given.dtype, given.shape[1:]))
            elif isinstance(given, Mapping):
                parts.append(tuple(sorted((k, str(v.dtype), v.shape[1:]) for k, v in given.items())))
            else:
                parts.append(id(given))
        return tuple(parts)


class Meeting:
    """One round at a time. One thread, the host, calls the network; others enter, ask and leave.

    The host waits for all who have entered. Guests ask without entering: nobody waits for them, and they are answered with
    the next round.
    """

    def __init__(self, most: int, wake: Callable[[], None] = lambda: None) -> None:
        self.wake = wake
        """called when a guest has asked, so that the host comes"""
        self.most = most
        """rows in one call"""
        self.calls = 0
        """how often a network was called, on a CPU in the parts of :mod:`ornstein.serving.sizes`"""
        self.rows = 0
        """for how many samples in all"""
        self._door = threading.Condition()
        self._waiting: list[Call] = []
        self._busy = 0
        self._host = 0

    def host(self) -> None:
        """This thread calls the network from now on."""
        self._host = threading.get_ident()

    def enter(self) -> None:
        """A thread of the round is about to begin: the host waits for it."""
        with self._door:
            self._busy += 1

    def leave(self) -> None:
        """It has no more questions."""
        with self._door:
            self._busy -= 1
            self._door.notify_all()

    @property
    def asked(self) -> bool:
        """Whether a question waits."""
        return bool(self._waiting)

    def ask(self, network: nn.Module, inputs: tuple[Any, ...], counted: bool) -> Any:
        """The network's answer. ``counted``: whether this thread has entered."""
        call = Call(network, inputs, counted)
        if threading.get_ident() == self._host:
            self.serve(call)
        else:
            with self._door:
                self._waiting.append(call)
                if counted:
                    self._busy -= 1
                self._door.notify_all()
            if not counted:
                self.wake()
            with self._door:
                while not call.answered:
                    self._door.wait()
        if call.error is not None:
            raise call.error
        return call.answer

    def serve(self, own: Call | None = None) -> bool:
        """Wait until all who entered have asked or left, and answer them; whether any of them had asked. For the host."""
        with self._door:
            while self._busy:
                self._door.wait()
            calls, self._waiting = self._waiting, []
        if own is not None:
            calls = [own, *calls]
        groups: dict[Hashable, list[Call]] = {}
        for call in calls:
            groups.setdefault(call.key, []).append(call)
        for group in groups.values():
            for part in _portions(group, self.most):
                self._answer(part)
        with self._door:  # all at once: those who go on may ask again, and belong to one round
            for call in calls:
                call.answered = True
                self._busy += call.counted
            self._door.notify_all()
        return any(call.counted for call in calls)

    def gather(self, guests: int, seconds: float) -> None:
        """Wait a moment for guests on their way to their question, where they are all that there is."""
        with self._door:
            self._door.wait_for(lambda: len(self._waiting) >= guests, seconds)

    def abandon(self, error: Exception) -> None:
        """Answer every question with an error: nobody will call the network any more."""
        with self._door:
            for call in self._waiting:
                call.error, call.answered = error, True
            self._waiting = []
            self._door.notify_all()

    def _answer(self, calls: list[Call]) -> None:
        try:
            answers = _together(calls)
        except Exception as error:
            if len(calls) == 1:
                calls[0].error = error
                return
            for call in calls:  # what is wrong with one is not the others' fault
                self._answer([call])
            return
        self.calls += 1
        self.rows += sum(c.rows for c in calls)
        for call, answer in zip(calls, answers, strict=True):
            call.answer = answer


def _portions(calls: Sequence[Call], most: int) -> list[list[Call]]:
    """Calls in order, as few groups as keep below ``most`` rows (a larger call is a group of its own)."""
    out: list[list[Call]] = []
    room = 0
    for call in calls:
        if call.rows > room:
            out.append([])
            room = most
        out[-1].append(call)
        room -= call.rows
    return out


def _together(calls: Sequence[Call]) -> list[Any]:
    """The answers of equal :attr:`Call.key` from one call of the network."""
    first = calls[0]
    with torch.no_grad(), torch.autocast(first.device, dtype=first.autocast, enabled=first.autocast is not None):
        if len(calls) == 1 and first.rows <= FREE:
            return [first.network(*first.inputs)]
        inputs = [_cat([c.inputs[i] for c in calls]) for i in range(len(first.inputs))]
        out = in_sizes(first.network, inputs) if first.device == "cpu" else first.network(*inputs)
    sizes = [c.rows for c in calls]
    if len(calls) == 1:
        return [out]
    if not isinstance(out, Tensor) or out.shape[0] != sum(sizes):
        raise TypeError(
            f"the network answered {type(out).__name__}, which cannot be divided among {len(sizes)} requests"
        )
    return list(out.split(sizes))


def _cat(given: Sequence[Any]) -> Any:
    first = given[0]
    if isinstance(first, Tensor):
        return torch.cat(list(given))
    return conditions.cat(given) if isinstance(first, Mapping) else first


class Shared(nn.Module):
    """A network whose calls are put together with those of others. Where a gradient is wanted, it is called at once."""

    def __init__(self, network: nn.Module, meeting: Meeting, counted: Callable[[], bool]):
        super().__init__()
        self.network, self.meeting, self.counted = network, meeting, counted

    def forward(self, x: Tensor, *rest: Any) -> Any:
        """What the network says."""
        if torch.is_grad_enabled():
            return self.network(x, *rest)
        return self.meeting.ask(self.network, (x, *rest), self.counted())


def share(denoiser: Denoiser, meeting: Meeting, counted: Callable[[], bool]) -> Denoiser:
    """A view of the denoiser, of its own parameters, whose network is :class:`Shared`; itself where no network is seen."""
    for name in ("network", "denoiser"):
        inner = denoiser._modules.get(name)
        if inner is None:
            continue
        put = share(inner, meeting, counted) if isinstance(inner, Denoiser) else Shared(inner, meeting, counted)
        view = copy.copy(denoiser)
        view._modules = dict(denoiser._modules) | {name: put}
        view._forward_hooks = OrderedDict()
        return view
    return denoiser
