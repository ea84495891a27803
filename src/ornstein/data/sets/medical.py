"""Medical volumes: a brain with its regions (mricron), a beating heart (pydicom), the tissues of a frog (pyvista)."""

from __future__ import annotations

import base64
import gzip
import io
import math
import re
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from ornstein.core.errors import DataError
from ornstein.data.dataset import Arrays, Images, Table
from ornstein.data.sets.named import Named
from ornstein.data.sets.packages import Debian, PyPI

BRAIN = Path("usr/share/mricron/templates")
HEART = Path("pydicom/data/test_files/examples_ybr_color.dcm")
FROG = Path("pyvista/examples/frog_tissues.vti")
SIDE = (224, 192)
BLOCK = 32
_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2"}


def brain(root: Path) -> dict[str, Table]:
    """Axial slices of a T1 scan ``[N, 1, 224, 192]`` with the regions of the same place as the condition ``regions``
    (0: none, 1 .. 116: the AAL atlas). Every tenth slice is the test."""
    scan, regions = (read_nifti(root / BRAIN / f"{name}.nii.gz") for name in ("ch2", "aal"))
    if scan.shape != regions.shape or scan.dtype != np.uint8 or int(regions.max()) > 255:
        raise DataError(f"ch2 {scan.dtype} {scan.shape} and aal {regions.dtype} {regions.shape} are not on one grid")
    slices, maps = (_framed(np.moveaxis(v, 2, 0)[:, ::-1]) for v in (scan, regions.astype(np.uint8)))
    kept = np.flatnonzero((maps > 0).mean((1, 2, 3)) > 0.02)
    images = Images(slices[kept], conds={"regions": maps[kept]})
    test = np.arange(len(kept)) % 10 == 5
    return {"train": images.take(np.flatnonzero(~test)), "test": images.take(np.flatnonzero(test))}


def _framed(x: np.ndarray) -> np.ndarray:
    """Slices ``[N, h, w]`` in the middle of the frame."""
    out = np.zeros((len(x), 1, *SIDE), dtype=x.dtype)
    top, left = (SIDE[0] - x.shape[1]) // 2, (SIDE[1] - x.shape[2]) // 2
    out[:, 0, top : top + x.shape[1], left : left + x.shape[2]] = x
    return out


def read_nifti(path: Path) -> np.ndarray:
    """The values of a little-endian NIfTI-1 file ``[z, y, x]``, not scaled."""
    data = gzip.decompress(path.read_bytes())
    if len(data) < 348 or struct.unpack_from("<i", data)[0] != 348:
        raise DataError(f"{path} is no little-endian NIfTI-1 file; unpack the package again")
    rank, *sizes = struct.unpack_from("<8h", data, 40)
    kind = struct.unpack_from("<h", data, 70)[0]
    if kind not in _TYPES:
        raise DataError(f"{path} holds values of type {kind}, which is not read; unpack the package again")
    start = int(struct.unpack_from("<f", data, 108)[0])
    shape = sizes[:rank][::-1]
    return np.frombuffer(data, f"<{_TYPES[kind]}", math.prod(shape), start).reshape(shape).transpose(1, 2, 0)


def heart(root: Path) -> dict[str, Table]:
    """One clip ``[1, 30, 3, 240, 320]``: the frames of a DICOM file, each a JPEG."""
    data = (root / HEART).read_bytes()
    place = data.find(b"\xe0\x7f\x10\x00")
    if place < 0:
        raise DataError(f"{HEART} has no pixels; the package has another version")
    frames, place = [], place + 12
    while data[place : place + 4] == b"\xfe\xff\x00\xe0":  # items: a table of offsets, then a frame each
        (length,) = struct.unpack_from("<I", data, place + 4)
        item = data[place + 8 : place + 8 + length]
        if item[:2] == b"\xff\xd8":
            with Image.open(io.BytesIO(item), formats=["JPEG"]) as picture:
                frames.append(np.asarray(picture.convert("RGB")).transpose(2, 0, 1))
        place += 8 + length
    if not frames:
        raise DataError(f"{HEART} has no frames in JPEG; the package has another version")
    return {"train": Arrays(np.stack(frames)[None], of="video")}


def frog(root: Path) -> dict[str, Table]:
    """Blocks of 32^3 voxels ``[N, 1, 32, 32, 32]`` that hold some tissue; a value is the number of the tissue, 0 none."""
    volume = read_vti(root / FROG)
    d, h, w = (size // BLOCK for size in volume.shape)
    whole = volume[: d * BLOCK, : h * BLOCK, : w * BLOCK].reshape(d, BLOCK, h, BLOCK, w, BLOCK)
    blocks = whole.transpose(0, 2, 4, 1, 3, 5).reshape(-1, 1, BLOCK, BLOCK, BLOCK)
    return {"train": Arrays(blocks[(blocks > 0).mean((1, 2, 3, 4)) > 0.05], of="volumes")}


def read_vti(path: Path) -> np.ndarray:
    """The first array of a VTK image file of bytes ``[z, y, x]``: blocks of zlib in base64."""
    text = path.read_bytes().decode("latin1")
    extent = re.search(r'WholeExtent="([^"]+)"', text)
    found = re.search(r"<DataArray[^>]*>\s*([A-Za-z0-9+/=\s]+?)\s*<", text)
    if extent is None or found is None:
        raise DataError(f"{path} is no VTK image with compressed bytes; the package has another version")
    (count,) = struct.unpack("<I", base64.b64decode(found[1][:8])[:4])
    head = (4 * (3 + count) + 2) // 3 * 4
    sizes = struct.unpack(f"<{count}I", base64.b64decode(found[1][:head])[12 : 12 + 4 * count])
    data, place, parts = base64.b64decode(found[1][head:]), 0, []
    for size in sizes:
        parts.append(zlib.decompress(data[place : place + size]))
        place += size
    e = [int(v) for v in extent[1].split()]
    return np.frombuffer(b"".join(parts), "u1").reshape(e[5] - e[4] + 1, e[3] - e[2] + 1, e[1] - e[0] + 1)


BRAINS = Named(
    "brain",
    "slices of a T1 scan with 116 regions, 224 x 192, grey; 16 MB, Debian",
    (Debian("mricron-data"),),
    "https://www.nitrc.org/projects/mricron; Holmes et al. 1998, Tzourio-Mazoyer et al. 2002",
    "BSD-3-Clause",
    brain,
    {"train": (128, "0d2be015d72cef26"), "test": (14, "8e3b025a02d052d8")},
    installed=str(BRAIN),
)
HEARTS = Named(
    "heart",
    "one echocardiogram, 30 frames of 240 x 320; 2.4 MB, PyPI",
    (PyPI("pydicom", "3.0.2"),),
    "https://github.com/pydicom/pydicom",
    "MIT",
    heart,
    {"train": (1, "ddee54a4f8e29fbf")},
    exact=False,
    kind="video",
)
FROGS = Named(
    "frog",
    "blocks of 32^3 voxels of a frog, 30 tissues; 2.7 MB, PyPI",
    (PyPI("pyvista", "0.49.1"),),
    "https://github.com/pyvista/pyvista; Lorensen, the Whole Frog Project",
    "MIT (the package)",
    frog,
    {"train": (155, "d931c979fb649364")},
    kind="volumes",
)
