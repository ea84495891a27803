"""What glibc is asked for about memory, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ornstein.core import arenas


def alone(code: str) -> subprocess.CompletedProcess[str]:
    """Run with the module's names, and nothing else imported."""
    whole = Path(arenas.__file__).read_text() + code
    return subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, timeout=60)


def test_threads_share_arenas() -> None:
    """In a process of its own: arenas that are there remain."""
    code = """
import re, threading
if not few_arenas(2):
    raise SystemExit("another C library keeps no arenas")
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
inside = threading.Barrier(13)
def work():
    libc.malloc(ctypes.c_size_t(5000))
    inside.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
[t.start() for t in threads]
inside.wait()
libc.fopen.restype = ctypes.c_void_p
libc.open_memstream.restype = ctypes.c_void_p
text, size = ctypes.c_char_p(), ctypes.c_size_t()
stream = ctypes.c_void_p(libc.open_memstream(ctypes.byref(text), ctypes.byref(size)))
assert libc.malloc_info(0, stream) == 0 and libc.fclose(stream) == 0
print(len(re.findall("<heap nr", text.value.decode())))
"""
    done = alone(code)
    assert "another C library" in done.stderr or int(done.stdout) <= 2, done.stderr


def test_blocks_are_used_again() -> None:
    """Six blocks of 20 MiB, asked for and given back a hundred times: the system hands out their pages once."""
    code = """
import resource
if not keep_blocks():
    raise SystemExit("another C library keeps no arenas")
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        blocks = [bytearray(20 << 20) for _ in range(6)]
        for block in blocks:
            block[:: 4096] = bytes(len(block) // 4096)
        del blocks, block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""
    done = alone(code)
    assert "another C library" in done.stderr or int(done.stdout) < 1000, done.stdout + done.stderr
