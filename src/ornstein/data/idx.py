"""IDX, the file format of MNIST and its successors: big-endian sizes, then the values.

``0 0 type rank | size_1 ... size_rank (uint32) | values``, plain or in gzip. LeCun, Cortes and Burges, "The MNIST
database".
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from ornstein.core.errors import DataError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | Path, rank: int | None = None) -> np.ndarray:
    """Read an ``.idx`` or ``.gz`` file; ``rank`` is the number of dimensions it must have."""
    path = Path(path)
    data = _contents(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES:
        raise DataError(f"{path} is not an IDX file (it starts with {data[:4].hex(' ') or 'nothing'}); fetch it again")
    found = data[3]
    if rank is not None and found != rank:
        raise DataError(f"{path} holds an array of {found} dimensions, expected {rank}; are images and labels swapped?")
    start = 4 + 4 * found
    if len(data) < start:
        raise DataError(f"{path} ends within its header ({len(data)} bytes); fetch it again")
    shape = struct.unpack(f">{found}I", data[4:start])
    dtype = np.dtype(_TYPES[data[2]])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise DataError(f"{path} should hold {expected} bytes for shape {shape} but has {len(data)}; fetch it again")
    values = np.frombuffer(data, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _contents(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except FileNotFoundError:
        raise DataError(f"no file {path}; fetch the set, or give the folder that holds it") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); fetch it again") from None
