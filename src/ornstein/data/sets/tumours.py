"""Tumours in MRI and CT with their outlines: five volumes that the package pyradiomics is tested with."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from ornstein.core.errors import DataError
from ornstein.data.dataset import Images, Table
from ornstein.data.sets.named import Named
from ornstein.data.sets.packages import Sdist

FOLDER = Path("pyradiomics-3.0.1/data")
SIDE = 256
CLASSES = ("brain", "breast", "lung")
VOLUMES = ("brain1", "brain2", "breast1", "lung1", "lung2")
CT = (-1000, 400)  # Hounsfield units: air to bone
_TYPES = {"short": "<i2", "int": "<i4", "unsigned char": "u1", "uchar": "u1", "float": "<f4", "double": "<f8"}


def convert(root: Path) -> dict[str, Table]:
    """Axial slices that a tumour is in ``[N, 1, 256, 256]``, with the condition ``mask`` (1 in the tumour).

    CT from -1000 to 400 Hounsfield units, averaged over 2 x 2; MRI from its smallest to its largest value; smaller slices in the
    middle of black. The second volume of brain and of lung is the test.
    """
    parts: dict[str, list[tuple[np.ndarray, np.ndarray, int]]] = {"train": [], "test": []}
    for name in VOLUMES:
        scan, mask = (read_nrrd(root / FOLDER / f"{name}_{kind}.nrrd") for kind in ("image", "label"))
        if scan.shape != mask.shape:
            raise DataError(
                f"{name}: a scan of {scan.shape} and a mask of {mask.shape}; the package has another version"
            )
        label = CLASSES.index(name[:-1])
        kept = np.flatnonzero((mask > 0).any((1, 2)))
        values, inside = scan[kept].astype(np.float64), (mask[kept] > 0).astype(np.uint8)
        low, high = CT if name.startswith("lung") else (float(scan.min()), float(scan.max()))
        values = ((values - low) / (high - low)).clip(0, 1) * 255
        if values.shape[1] > SIDE:
            n, h, w = values.shape
            values = values.reshape(n, h // 2, 2, w // 2, 2).mean((2, 4))
            inside = inside.reshape(n, h // 2, 2, w // 2, 2).max((2, 4))
        parts["test" if name.endswith("2") else "train"].append((_framed(np.rint(values)), _framed(inside), label))
    return {
        split: Images(
            np.concatenate([x for x, _, _ in found]),
            np.concatenate([np.full(len(x), label) for x, _, label in found]),
            CLASSES,
            conds={"mask": np.concatenate([mask for _, mask, _ in found])},
        )
        for split, found in parts.items()
    }


def _framed(x: np.ndarray) -> np.ndarray:
    out = np.zeros((len(x), 1, SIDE, SIDE), dtype=np.uint8)
    top, left = (SIDE - x.shape[1]) // 2, (SIDE - x.shape[2]) // 2
    out[:, 0, top : top + x.shape[1], left : left + x.shape[2]] = x
    return out


def read_nrrd(path: Path) -> np.ndarray:
    """The values of an NRRD file ``[z, y, x]``."""
    head, blank, data = path.read_bytes().partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in head.decode("latin1").splitlines()[1:] if ": " in line)
    if not blank or fields.get("type") not in _TYPES or "sizes" not in fields:
        raise DataError(f"{path} is no NRRD file of numbers; the package has another version")
    if fields.get("encoding") in ("gzip", "gz"):
        data = gzip.decompress(data)
    return np.frombuffer(data, _TYPES[fields["type"]]).reshape([int(n) for n in fields["sizes"].split()][::-1])


TUMOURS = Named(
    "tumours",
    "slices with a tumour and its outline, 256 x 256, grey, 3 organs; 34 MB, PyPI",
    (Sdist("pyradiomics", "3.0.1", ("setuptools<70", "wheel", "versioneer", "cython")),),
    "https://github.com/AIM-Harvard/pyradiomics",
    "BSD-3-Clause, (c) Harvard Medical School",
    convert,
    {"train": (13, "4e863f5687b31a87"), "test": (14, "e2b02712080957ce")},
    exact=False,
)
