"""Memory that is freed, and used again: what glibc is asked for in a process of our own, a command or a server.

glibc gives each new thread one of up to eight arenas per core, and what one thread frees stays in its arena. A server's
threads come and go (those that encode pictures, those of tasks), so that its resident memory creeps up for hours although
nothing is kept. With few arenas freed memory is used again by whoever asks next; they wait for a lock that is held for
nanoseconds.

The activations of a network's call are blocks of megabytes, which glibc asks of the system and gives back each time. The
system fills every page with zeros first: a sixth of the time of a call of 64 rows of the bundled model in bf16, a quarter of
that of filling a year of records. So blocks of up to 32 MiB, the most that glibc accepts, come from the arenas, and of what is
free at their end as much is kept as a call needs.
"""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_LARGEST, _KEPT = 32 << 20, 256 << 20


def few_arenas(most: int = 1) -> bool:
    """Ask the C library for at most so many; whether it understood. To be called before threads are begun."""
    if platform.libc_ver()[0] != "glibc":
        return False
    return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, most))


def keep_blocks() -> bool:
    """Ask the C library to use the memory of tensors again without giving it back in between; whether it understood."""
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(_M_MMAP_THRESHOLD, _LARGEST)) and bool(library.mallopt(_M_TRIM_THRESHOLD, _KEPT))
