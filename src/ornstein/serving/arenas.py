"""Memory that threads have freed goes back to the machine.

glibc gives each new thread one of up to eight arenas per core, and what one thread frees stays in its arena. A server's
threads come and go (those that encode pictures, those of tasks), so that its resident memory creeps up for hours although
nothing is kept. With few arenas freed memory is used again by whoever asks next. Large tensors are mapped one by one and
are not affected; small ones wait for a lock that is held for nanoseconds.
"""

from __future__ import annotations

import ctypes
import platform

_M_ARENA_MAX = -8  # malloc.h


def few_arenas(most: int = 2) -> bool:
    """Ask the C library for at most so many; whether it understood. To be called before threads are begun."""
    if platform.libc_ver()[0] != "glibc":
        return False
    return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, most))
