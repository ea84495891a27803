"""Point clouds out of text (XYZ) and NPZ files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.points.clouds import Clouds
from ornstein.evaluation.reading import arrays_of, files_of

SUFFIXES = (".xyz", ".pts")


def read_xyz(path: Path) -> Tensor:
    """Lines of numbers, the first three of which are x, y, z; a word before them (an element) and two leading lines with the
    number of points and a comment, as in files of molecules, are skipped.

    Raises:
        DataError: a line without three numbers (names it), or no line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"cannot read {path}: {e}") from e
    begin = 2 if lines and lines[0].strip().isdigit() else 0
    points = []
    for number, line in enumerate(lines[begin:], begin + 1):
        words = line.replace(",", " ").split()
        if not words or words[0].startswith("#"):
            continue
        words = words[1:] if words[0].isalpha() and words[0].lower() not in ("nan", "inf") else words
        try:
            points.append([float(w) for w in words[:3]])
        except ValueError:
            points.append([])
        if len(points[-1]) != 3:
            raise DataError(f"{path}, line {number}: three numbers are wanted, got '{line.strip()}'")
    if not points:
        raise DataError(f"{path} is empty: it holds no points")
    if begin and len(points) != int(lines[0]):
        raise DataError(f"{path} says {lines[0].strip()} points and holds {len(points)}: it is torn")
    return torch.tensor(points, dtype=torch.float64)


def read_clouds(path: Path) -> Clouds:
    """A text file, a folder of them (by name), or an NPZ with ``points [N, P, D]`` and, if any, ``length``."""
    if path.suffix != ".npz":
        return Clouds([read_xyz(file) for file in files_of(path, SUFFIXES, "point cloud")])
    found = arrays_of(path, ("points", "x"))
    x = found.main
    if x.ndim != 3 or not np.issubdtype(x.dtype, np.number):
        raise DataError(f"{path}: points must be numbers [N, P, D], got {x.dtype} {x.shape}")
    lengths = found.per_item("length", len(x), np.full(len(x), x.shape[1]))
    return Clouds([torch.from_numpy(v[: int(n)].astype(np.float64)) for v, n in zip(x, lengths, strict=True)])
