"""What a process says at single times, kept: a grid's times come again in every step, every run and every request.

A time is asked for its amplitudes by the parametrisation, by the sampler at the start of a step and at the end of the one
before it. On a table of betas each answer is some twenty small operations, which beside a small network count. Only plain
numbers are kept (float64, on the CPU, without a gradient), only while :func:`remembering` is on in this thread (sampling
turns it on), and only of processes that have nothing to load or to train, which cannot change between two runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

T = TypeVar("T")
_MOST = 16_384
_UNKNOWN: dict[Any, Any] = {}
_thread = threading.local()
_kept: WeakKeyDictionary[Any, dict[Any, Any] | None] = WeakKeyDictionary()


@contextmanager
def remembering() -> Iterator[None]:
    """Within it, and in this thread, processes keep what they say at single times."""
    before = getattr(_thread, "on", False)
    _thread.on = True
    try:
        yield
    finally:
        _thread.on = before


def _memory(process: Any, times: Sequence[Tensor]) -> dict[Any, Any] | None:
    """Where answers at these times are kept; None if they are not."""
    if not getattr(_thread, "on", False):
        return None
    for t in times:
        if t.numel() != 1 or t.requires_grad or t.device.type != "cpu" or t.dtype != torch.float64:
            return None
    kept = _kept.get(process, _UNKNOWN)
    if kept is _UNKNOWN:
        kept = _kept[process] = None if process.state_dict() else {}
    if kept is not None and len(kept) >= _MOST:
        kept.clear()
    return kept


def recall(process: Any, what: Hashable, times: Sequence[Tensor], make: Callable[[], T]) -> T:
    """What ``make`` gives, kept under the name ``what`` where all of ``times`` are single numbers; it depends on nothing else."""
    kept = _memory(process, times)
    if kept is None:
        return make()
    key = what, *(t.item() for t in times), times[0].ndim, torch.is_inference_mode_enabled()
    found = kept.get(key)
    if found is None:
        found = kept[key] = make()
    return cast(T, found)


def foresee(process: Any, times: Tensor) -> None:
    """Keep what an Affine process says at each of ``times``, asked once for them all: a run meets most times for the first
    time. Processes whose coordinates have amplitudes of their own are asked as they go."""
    if times.ndim != 1 or times.device.type != "cpu" or times.dtype != torch.float64 or process.state_dict():
        return
    kept = _kept.setdefault(process, {})
    assert kept is not None
    if len(kept) + 3 * len(times) > _MOST:
        kept.clear()
    for name in ("alpha", "sigma", "log_snr"):
        found = getattr(process, name)(times)
        if found.shape != times.shape:
            return
        for t, value in zip(times.tolist(), found.unbind(), strict=True):
            kept.setdefault((name, t, 0, torch.is_inference_mode_enabled()), value)


def remembered(method: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    """A method of a process that takes a time, its answers at single times kept."""
    name = method.__name__

    @wraps(method)
    def answer(process: Any, t: Tensor) -> Tensor:
        if t.ndim or not getattr(_thread, "on", False):
            return method(process, t)
        return recall(process, name, (t,), lambda: method(process, t))

    return answer
