"""What this machine is, and what a process has cost it: processor time and memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


@contextmanager
def single_threaded() -> Iterator[None]:
    """Processes that are started inside compute on one thread each: several that use all cores slow one another down."""
    before = dict(os.environ)
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def processor_seconds() -> float:
    """Time that all cores together have worked for this process and the processes it has waited for."""
    return sum(os.times()[:4])


def peak_memory() -> float | None:
    """The most memory that this process has held, in MiB; None where the system does not tell (Windows)."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the process that started this one had held
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return round(int(line.split()[1]) / 1024, 1)
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def machine(jobs: int = 1) -> str:
    """The class of this machine: ``2 CPU cores, AVX512, 1 thread used``, and the processes at a time where they are several."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads() if jobs == 1 else 1
    return (
        f"{cores} CPU core{'s' * (cores > 1)}, {torch.backends.cpu.get_cpu_capability()}, "
        f"{threads} thread{'s' * (threads > 1)} used" + (f" in {jobs} processes" if jobs > 1 else "")
    )
