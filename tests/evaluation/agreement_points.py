"""Our metrics of point clouds beside SciPy's, POT's and scikit-learn's."""

from __future__ import annotations

import numpy as np
import ot
import torch
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist, jensenshannon
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from evaluation.trusted import Numbers, Row
from ornstein.evaluation import measure
from ornstein.evaluation.points import Clouds, PointSettings, chamfer, earth_mover
from ornstein.evaluation.points.occupancy import cube


def clouds(count: int, points: int, seed: int, shift: float = 0.0) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(points, 3, generator=g, dtype=torch.float64) + shift for _ in range(count)]


def of_chamfer() -> tuple[Numbers, Numbers]:
    pairs = list(zip(clouds(5, 90, 0), clouds(5, 120, 1), strict=True))
    theirs = [
        (cKDTree(b).query(a)[0] ** 2).mean() + (cKDTree(a).query(b)[0] ** 2).mean()
        for a, b in ((p.numpy(), q.numpy()) for p, q in pairs)
    ]
    return [chamfer(a, b) for a, b in pairs], theirs


def of_earth_mover() -> tuple[Numbers, Numbers]:
    pairs = list(zip(clouds(4, 60, 0), clouds(4, 60, 1), strict=True))
    theirs = [ot.emd2(ot.unif(60), ot.unif(60), cdist(a.numpy(), b.numpy())) for a, b in pairs]
    return [earth_mover(a, b) for a, b in pairs], theirs


def of_sets() -> tuple[Numbers, Numbers]:
    mine, theirs = clouds(14, 30, 0, 0.2), clouds(14, 30, 1)
    found = measure(Clouds(mine), Clouds(theirs), metrics=["sets_cd", "nna_cd"], draws=0).values

    def far(a: Tensor, b: Tensor) -> float:
        x, y = a.numpy(), b.numpy()
        return float((cKDTree(y).query(x)[0] ** 2).mean() + (cKDTree(x).query(y)[0] ** 2).mean())

    every = [*mine, *theirs]
    d = np.array([[far(a, b) for b in every] for a in every])
    kinds, right = np.arange(28) < 14, 0
    for i in range(28):  # leave one out
        rest = np.delete(np.arange(28), i)
        nearest = KNeighborsClassifier(1, metric="precomputed").fit(d[np.ix_(rest, rest)], kinds[rest])
        right += int(nearest.predict(d[i, rest][None])[0] == kinds[i])
    cross = d[:14, 14:]
    wanted = [cross.min(0).mean(), len(np.unique(cross.argmin(1))) / 14, right / 28]
    return [found["mmd_cd"], found["cov_cd"], found["nna_cd"]], wanted


def of_divergence() -> tuple[Numbers, Numbers]:
    mine, theirs = clouds(6, 400, 0, 0.3), clouds(6, 400, 1)
    low, side = cube(theirs)
    edges = [np.linspace(float(v), float(v) + side, 9) for v in low]
    inside = [e.copy() for e in edges]
    for e in inside:
        e[0], e[-1] = -np.inf, np.inf  # points beyond the cube belong to its outermost cells
    p, q = (
        np.histogramdd(torch.cat(x).numpy().clip(-50, 50), [np.nan_to_num(e, posinf=60, neginf=-60) for e in inside])[
            0
        ].ravel()
        for x in (mine, theirs)
    )
    found = measure(Clouds(mine), Clouds(theirs), metrics=["jsd"], settings=PointSettings(cells=8), draws=0).values[
        "jsd"
    ]
    return [found], [jensenshannon(p, q, base=2) ** 2]


ROWS = (
    Row("Chamfer distance", "SciPy `cKDTree`", of_chamfer),
    Row("earth mover's distance", "POT `emd2`", of_earth_mover),
    Row("MMD, COV, 1-NNA", "SciPy `cKDTree`, scikit-learn `KNeighborsClassifier`", of_sets),
    Row("Jensen-Shannon divergence", "SciPy `jensenshannon`, NumPy `histogramdd`", of_divergence),
)
