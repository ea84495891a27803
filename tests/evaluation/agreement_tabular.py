"""Our metrics of tables beside the implementations that the field trusts."""

from __future__ import annotations

import numpy as np
import scipy.stats
from scipy.spatial.distance import cdist
from sklearn.metrics import f1_score, r2_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.neighbors import NearestNeighbors

from evaluation.trusted import Numbers, Row
from ornstein.evaluation import Table
from ornstein.evaluation.tabular import column_shapes, distance_to_closest, pair_trends
from ornstein.evaluation.tabular.utility import macro_f1, r_squared


def table(n: int, seed: int, shift: float = 0.0) -> Table:
    """Two columns of numbers that go together, two of categories that depend on them; with ties."""
    g = np.random.default_rng(seed)
    x = np.round(g.normal(shift, 1, n), 1)
    y = 2 * x + g.normal(size=n)
    c = np.where(x + g.normal(size=n) > 0, "a", np.where(g.random(n) < 0.5, "b", "c"))
    return Table({"x": x, "y": y, "c": c, "d": np.where(y > 1, "p", "q")})


def of_shapes() -> tuple[Numbers, Numbers]:
    a, b = table(130, 0, 0.3), table(170, 1)
    found = column_shapes(a, b)
    theirs = [1 - scipy.stats.ks_2samp(a.columns[n], b.columns[n]).statistic for n in ("x", "y")]
    for n in ("c", "d"):
        p, q = ({v: np.mean(t.columns[n] == v) for v in "abcpq"} for t in (a, b))
        theirs.append(1 - cdist([list(p.values())], [list(q.values())], "cityblock")[0, 0] / 2)
    return [found[n] for n in ("x", "y", "c", "d")], theirs


def of_trends() -> tuple[Numbers, Numbers]:
    a, b = table(130, 0, 0.3), table(170, 1)
    found = pair_trends(a, b, bins=7)
    r = [scipy.stats.pearsonr(t.columns["x"], t.columns["y"]).statistic for t in (a, b)]
    edges = np.linspace(b.columns["x"].min(), b.columns["x"].max(), 8)

    cd = [contingency_matrix(t.columns["c"], t.columns["d"]) / len(t) for t in (a, b)]
    inside = (a.columns["x"] >= edges[0]) & (a.columns["x"] <= edges[-1])
    places = [np.clip(np.digitize(t.columns["x"], edges), 1, 7) for t in (a, b)]
    places[0] = np.where(inside, places[0], np.where(a.columns["x"] < edges[0], 0, 8))
    grid = [
        np.array([[np.mean((p == i) & (t.columns["c"] == v)) for v in "abc"] for i in range(9)])
        for p, t in zip(places, (a, b), strict=True)
    ]
    theirs = [1 - abs(r[0] - r[1]) / 2, 1 - np.abs(cd[0] - cd[1]).sum() / 2, 1 - np.abs(grid[0] - grid[1]).sum() / 2]
    return [found["x", "y"], found["c", "d"], found["x", "c"]], theirs


def of_closest() -> tuple[Numbers, Numbers]:
    a, b = table(60, 0, 0.3), table(90, 1)

    def encoded(t: Table) -> np.ndarray:
        numbers = [(t.columns[n] - b.columns[n].min()) / np.ptp(b.columns[n]) for n in ("x", "y")]
        codes = [np.unique(b.columns[n]).searchsorted(t.columns[n]) for n in ("c", "d")]
        return np.stack([*numbers, *codes], 1).astype(float)

    def gower(u: np.ndarray, v: np.ndarray) -> float:
        return float((np.abs(u[:2] - v[:2]).sum() + (u[2:] != v[2:]).sum()) / 4)

    theirs = NearestNeighbors(n_neighbors=1, metric=gower).fit(encoded(b)).kneighbors(encoded(a))[0][:, 0]
    return (distance_to_closest(a, b) + 1).tolist(), (theirs + 1).tolist()


def of_scores() -> tuple[Numbers, Numbers]:
    a, b = table(120, 0), table(120, 1)
    said, truth, x, y = a.columns["c"], b.columns["c"], a.columns["x"], b.columns["x"]
    return [macro_f1(said, truth), r_squared(x, y)], [f1_score(truth, said, average="macro"), r2_score(y, x)]


ROWS = (
    Row("column shapes", "scipy `ks_2samp`, `cdist`", of_shapes),
    Row("pair trends", "scipy `pearsonr`, scikit-learn `contingency_matrix`", of_trends),
    Row("distance to the closest record", "scikit-learn `NearestNeighbors`, Gower's distance", of_closest),
    Row("scores of downstream utility", "scikit-learn `f1_score`, `r2_score`", of_scores),
)
