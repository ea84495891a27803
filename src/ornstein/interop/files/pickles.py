"""Old PyTorch files (``.ckpt``, ``.bin``, ``.pt``) read by an unpickler that can make tensors and containers, nothing else.

A pickle is a program: it may ask for any function by name and call it. Here each name is looked up in a table of our own
functions; a name that is not in it ends the reading. The functions in it build tensors inside the bytes of the file. Objects of
training libraries that such files carry along (callbacks) become inert stand-ins, whose state is dropped.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ornstein.core.errors import CheckpointError

STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
INERT = ("pytorch_lightning.", "lightning.")
"""Modules whose objects are stood in for: they hold no tensors that anybody needs."""


class Inert:
    """What stands in for an object that is not wanted; it takes any state and keeps none."""

    def __new__(cls, *args: Any) -> Inert:
        return super().__new__(cls)

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Dropped, like all state."""


class _Storage:
    """Numbers of one type, in the order of the file."""

    def __init__(self, dtype: torch.dtype):
        self.dtype = dtype
        self.numbers: Tensor = torch.empty(0, dtype=dtype)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """torch._utils._rebuild_tensor_v2, within the bounds of its storage."""
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without storage")
    size, stride, offset = tuple(map(int, size)), tuple(map(int, stride)), int(offset)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    empty = math.prod(size) == 0
    if min((offset, *size, *stride), default=0) < 0 or (not empty and last >= len(storage.numbers)):
        raise pickle.UnpicklingError("a tensor that reaches beyond its storage")
    return storage.numbers.as_strided(size, stride, offset)


def _parameter(data: Any, *_: Any) -> Any:
    """torch._utils._rebuild_parameter: the tensor itself."""
    return data


def _scalar(*_: Any) -> float:
    """numpy's scalars (best scores and the like) are no weights."""
    return math.nan


def _text(text: Any, *_: Any) -> bytes:
    """_codecs.encode, for the text in which old pickles keep bytes."""
    return str(text).encode("latin1", errors="replace")


ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy", "dtype"): Inert,
    ("_codecs", "encode"): _text,
    ("torch", "Size"): tuple,
    **{("torch", name): (lambda dtype=dtype: _Storage(dtype)) for name, dtype in STORAGES.items()},
}
"""(module, name) in the file -> what is called in its place."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, archive: zipfile.ZipFile, root: str):
        super().__init__(io.BytesIO(data))
        self.archive, self.root = archive, root
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if module.startswith(INERT):
            return Inert
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no file of weights needs")

    def persistent_load(self, pid: Any) -> _Storage:
        """("storage", type, key, device, numel): the numbers in ``data/KEY``."""
        if not (isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage" and callable(pid[1])):
            raise pickle.UnpicklingError("it refers to something that is no storage")
        key = str(pid[2])
        if key not in self.storages:
            storage = pid[1]()
            if not isinstance(storage, _Storage):
                raise pickle.UnpicklingError("a storage of no known type")
            data = self.archive.read(f"{self.root}/data/{key}")
            if data:
                storage.numbers = torch.frombuffer(bytearray(data), dtype=storage.dtype)
            self.storages[key] = storage
        return self.storages[key]


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch file; those below ``state_dict`` where it has one.

    Raises:
        CheckpointError: it asks for anything but tensors and containers (what is named), or is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            main = next((i.filename for i in infos if i.filename.endswith("/data.pkl")), None)
            if main is None:
                raise CheckpointError(f"{path} has no data.pkl: it was not written by torch.save")
            if any(i.compress_type != zipfile.ZIP_STORED for i in infos):
                raise CheckpointError(f"{path} is compressed, which torch.save never does: refused")
            found = _Unpickler(archive.read(main), archive, main.removesuffix("/data.pkl")).load()
    except zipfile.BadZipFile as e:
        raise CheckpointError(
            f"{path} is not in the format that torch.save writes since PyTorch 1.6; older files are not read"
        ) from e
    except (pickle.UnpicklingError, KeyError, ValueError, TypeError, AttributeError, IndexError, EOFError) as e:
        raise CheckpointError(f"{path} is refused: {e}") from e
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    tensors = {k: v for k, v in found.items() if isinstance(v, Tensor)} if isinstance(found, Mapping) else {}
    if not tensors or not all(isinstance(k, str) for k in tensors):
        raise CheckpointError(f"{path} holds no table of named tensors")
    return tensors
