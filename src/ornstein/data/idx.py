"""IDX, the file format of MNIST and its successors: big-endian sizes, then the values.

``0 0 type rank | size_1 ... size_rank (uint32) | values``, plain or in gzip. LeCun, Cortes and Burges, "The MNIST
database".
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from pathlib import Path

import numpy as np

from ornstein.core.errors import DataError
from ornstein.data.dataset import Images

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


def is_idx(path: Path) -> bool:
    """Whether a file is called as IDX files are: ``train-images-idx3-ubyte``, ``x.idx3-ubyte.gz``, ``x.idx``."""
    return re.search(r"[-.]idx\d?(-ubyte)?(\.gz)?$", path.name.lower()) is not None


def read_idx_images(path: Path) -> Images:
    """The images of a file ``*images-idx3-ubyte``, with the labels of ``*labels-idx1-ubyte`` if that lies beside it."""
    x = read_idx(path)
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim != 4 or x.dtype != np.uint8:
        raise DataError(f"{path} holds {x.dtype} of shape {tuple(x.shape)}; images are uint8 [N, H, W]")
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    labels = read_idx(beside, rank=1).astype(np.int64) if beside != path and beside.is_file() else None
    classes = () if labels is None else tuple(str(i) for i in range(int(labels.max()) + 1))
    return Images(x, labels, classes, path.name.split("-images")[0].split(".")[0], str(path))


def _contents(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except FileNotFoundError:
        raise DataError(f"no file {path}; fetch the set, or give the folder that holds it") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); fetch it again") from None
