"""Advice on threads: given once, and only where the machine is shared."""

from __future__ import annotations

import os
import time

import pytest
import torch

from ornstein.cli.crowding import Crowding


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Clocks and a load that a test sets."""
    now = {"wall": 100.0, "cpu": 5.0, "load": 3.0}
    monkeypatch.setattr(time, "monotonic", lambda: now["wall"])
    monkeypatch.setattr(time, "process_time", lambda: now["cpu"])
    monkeypatch.setattr(os, "getloadavg", lambda: (now["load"], 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    return now


def test_half_of_the_time_on_a_shared_machine(clocks: dict[str, float]) -> None:
    watch = Crowding()
    clocks |= {"wall": 110.0, "cpu": 15.0}
    assert watch.advice() is None  # too early to say
    clocks |= {"wall": 130.0, "cpu": 35.0}
    said = watch.advice()
    assert said is not None and "2 threads get the time of 1.0 cores" in said and "OMP_NUM_THREADS=1" in said
    clocks |= {"wall": 160.0}
    assert watch.advice() is None  # once


@pytest.mark.parametrize(("cpu", "load"), [(60.0, 3.0), (35.0, 2.2)], ids=["full time", "machine not overbooked"])
def test_silence(clocks: dict[str, float], cpu: float, load: float) -> None:
    watch = Crowding()
    clocks |= {"wall": 130.0, "cpu": cpu, "load": load}
    assert watch.advice() is None


def test_one_thread_waits_for_nobody(clocks: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    watch = Crowding()
    clocks |= {"wall": 130.0, "cpu": 10.0}
    assert watch.advice() is None
