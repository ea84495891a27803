"""Furniture of Sweet Home 3D: 820 meshes in 12 categories, as points on their surfaces."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np

from ornstein.core.errors import DataError
from ornstein.data.captions import Captions
from ornstein.data.dataset import Arrays, Table
from ornstein.data.sets.named import Named, held_out, split_by
from ornstein.data.sets.packages import Debian

FOLDER = Path("usr/share/sweethome3d/furniture")
POINTS = 2048


def convert(root: Path) -> dict[str, Table]:
    """2048 points ``[N, 2048, 3]`` drawn evenly from each surface, centred, the farthest at distance 1; y is up."""
    libraries = sorted((root / FOLDER).glob("*.sh3f"))
    if not libraries:
        raise FileNotFoundError(2, "No such files", str(FOLDER / "*.sh3f"))
    points: list[np.ndarray] = []
    names, kinds = [], []
    for library in libraries:
        with zipfile.ZipFile(library) as archive:
            entries = properties(archive.read("PluginFurnitureCatalog.properties").decode("latin1"))
            for entry in entries:
                mesh = read_obj(archive.read(entry["model"].lstrip("/")).decode("latin1"))
                points.append(normalised(sample(*mesh, seed=len(points))))
                names.append(entry["name"])
                kinds.append(entry["category"])
    classes = tuple(sorted(set(kinds)))
    labels = np.array([classes.index(kind) for kind in kinds])
    table = Arrays(np.stack(points), labels, classes, captions=Captions.of(names), of="points")
    return split_by(table, held_out(names))


def properties(text: str) -> list[dict[str, str]]:
    """``name``, ``category`` and ``model`` of each numbered entry of a catalogue, in order."""
    found: dict[int, dict[str, str]] = {}
    for key, number, value in re.findall(r"^(name|category|model)#(\d+)=(.*?)\r?$", text, re.MULTILINE):
        value = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), value)
        found.setdefault(int(number), {})[key] = value.strip()
    return [entry for _, entry in sorted(found.items()) if len(entry) == 3 and entry["model"].endswith(".obj")]


def read_obj(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertices ``[V, 3]`` and triangles ``[F, 3]`` of a Wavefront file; a polygon becomes a fan around its first corner."""
    places, corners, before = [], [], []
    for line in text.splitlines():
        if line.startswith("v "):
            places.append(line[2:])
        elif line.startswith("f "):
            corners.append(line[2:])
            before.append(len(places))
    if not corners:
        raise DataError("a mesh of the furniture has no faces; the package has another version")
    vertices = np.array([place.split()[:3] for place in places], dtype=np.float64)
    words = [re.sub(r"/\S*", "", corner).split() for corner in corners]
    many = np.array([len(word) for word in words])
    index = np.array([number for word in words for number in word], dtype=np.int64)
    index = np.where(index > 0, index - 1, np.repeat(before, many) + index)
    start = np.repeat(np.cumsum(many) - many, many - 2)  # the first corner of each triangle's polygon
    step = np.arange(len(start)) - np.repeat(np.cumsum(many - 2) - (many - 2), many - 2)
    return vertices, np.stack([index[start], index[start + step + 1], index[start + step + 2]], axis=1)


def sample(vertices: np.ndarray, faces: np.ndarray, seed: int) -> np.ndarray:
    """Points drawn evenly from the surface of triangles."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    u = np.random.Philox(np.random.SeedSequence(seed)).random_raw(3 * POINTS).reshape(3, -1) * 2.0**-64
    face = np.minimum(np.searchsorted(np.cumsum(area), u[0] * area.sum()), len(faces) - 1)
    r, s = np.sqrt(u[1])[:, None], u[2][:, None]
    return (1 - r) * a[face] + r * (1 - s) * b[face] + r * s * c[face]


def normalised(points: np.ndarray) -> np.ndarray:
    """Centred, and as large as fits into the unit sphere."""
    points = points - (points.max(0) + points.min(0)) / 2
    return (points / np.linalg.norm(points, axis=1).max()).astype(np.float32)


FURNITURE = Named(
    "furniture",
    "820 meshes of furniture as 2048 points each, with names, 12 categories; 120 MB, Debian",
    (Debian("sweethome3d-furniture"),),
    "https://www.sweethome3d.com",
    "CC-BY-3.0 (Scopia, BlendSwap-CC-BY, KatorLegaz, Reallusion: name the authors) and CC0 (BlendSwap-CC-0)",
    convert,
    {"train": (724, "cd46bcc6e983a399"), "test": (96, "d294ba54c9eee3ac")},
    exact=False,
    installed=str(FOLDER),
    kind="points",
)
