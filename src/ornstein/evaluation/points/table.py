"""The metrics of point clouds by name."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ornstein.evaluation.modality import Given, Measure, Modality, Need, table_of
from ornstein.evaluation.points.clouds import Clouds, require_one_space
from ornstein.evaluation.points.distances import chamfer, earth_mover
from ornstein.evaluation.points.occupancy import cube, jensen_shannon, occupancy
from ornstein.evaluation.points.sets import Distance, coverage, matrix, minimum_matching, one_nearest
from ornstein.evaluation.points.settings import PointSettings

_PAIRS: frozenset[Need] = frozenset({"reference", "pairs"})
_DISTANCES: dict[str, tuple[Distance, str]] = {
    "cd": (chamfer, "Chamfer distance"), "emd": (earth_mover, "earth mover's distance"),
}  # fmt: skip


def _thin(clouds: Clouds, s: PointSettings) -> tuple[Tensor, ...]:
    """The points that distances are of: all, or some, in clouds of one size the same ones."""
    if not s.points:
        return clouds.clouds
    rng = torch.Generator()
    order = {n: torch.randperm(n, generator=rng.manual_seed(s.seed)) for n in {len(c) for c in clouds.clouds}}
    return tuple(c[order[len(c)][: s.points]] for c in clouds.clouds)


def _paired(name: str, distance: Distance, x: Given[Clouds]) -> dict[str, float]:
    def each(a: Clouds, b: Clouds) -> Tensor:
        pairs = zip(_thin(a, x.settings), _thin(b, x.settings), strict=True)
        return torch.tensor([distance(p, q) for p, q in pairs], dtype=torch.float64)

    return {name: float(x.pair_column(name, each).mean())}


def _cross(short: str, x: Given[Clouds]) -> Tensor:
    """Distances of the samples that are meant to the whole reference."""
    distance = _DISTANCES[short][0]
    theirs = _thin(x.reference, x.settings)
    return x.column(f"cross {short}", lambda a: matrix(_thin(a, x.settings), theirs, distance))


def _sets(short: str, x: Given[Clouds]) -> dict[str, float]:
    cross = _cross(short, x)
    return {f"mmd_{short}": minimum_matching(cross), f"cov_{short}": coverage(cross)}


def _one_nearest(short: str, x: Given[Clouds]) -> dict[str, float]:
    """The larger set is cut to the smaller; a half of the samples meets the same half of the reference."""
    distance = _DISTANCES[short][0]
    n = min(len(x.every_sample), len(x.reference))
    if x.index is None and len(x.every_sample) != len(x.reference):
        x.warn(f"nna_{short} compares sets of one size: the first {n} of both")
    a, b = _thin(x.every_sample, x.settings), _thin(x.reference, x.settings)
    cross = x.once(f"cross {short}", lambda: matrix(a, b, distance))[:n, :n]
    own = x.once(f"own {short}", lambda: matrix(a[:n], None, distance))
    other = x.once(f"other {short}", lambda: matrix(b[:n], None, distance))
    index = torch.arange(n) if x.index is None else x.index[x.index < n]
    rows = index[:, None]
    return {f"nna_{short}": one_nearest(own[rows, index], cross[rows, index], other[rows, index])}


def _jsd(x: Given[Clouds]) -> dict[str, float]:
    s: PointSettings = x.settings
    low, side = x.once("cube", lambda: cube(x.reference.clouds))
    theirs = x.once("cells", lambda: occupancy(x.reference.clouds, low, side, s.cells).sum(0))
    mine = x.column("occupancy", lambda clouds: occupancy(clouds.clouds, low, side, s.cells))
    return {"jsd": jensen_shannon(mine.sum(0), theirs)}


def _rows() -> tuple[Measure[Clouds], ...]:
    rows = [
        Measure("chamfer", "Chamfer distance to the paired cloud, of squares", {"chamfer": "lower"},
                partial(_paired, "chamfer", chamfer), _PAIRS, uses=("points",)),
        Measure("emd", "earth mover's distance to the paired cloud, by exact assignment", {"emd": "lower"},
                partial(_paired, "emd", earth_mover), _PAIRS, uses=("points",)),
    ]  # fmt: skip
    for short, (_, name) in _DISTANCES.items():
        rows.append(
            Measure(
                f"sets_{short}", f"{name}: mean to the nearest sample, share of the reference that is nearest to a sample",
                {f"mmd_{short}": "lower", f"cov_{short}": "higher"}, partial(_sets, short),
                uses=("points",),
            )
        )  # fmt: skip
        rows.append(
            Measure(
                f"nna_{short}", f"accuracy of the nearest neighbour by {name} at telling samples from data; 1/2: it cannot",
                {f"nna_{short}": "lower"}, partial(_one_nearest, short), uses=("points",), least=2,
            )
        )  # fmt: skip
    jsd = Measure(
        "jsd", "Jensen-Shannon divergence of where the points lie, bits", {"jsd": "lower"}, _jsd, uses=("cells",)
    )
    return (*rows, jsd)


POINTS: Modality[Clouds] = Modality(
    "points",
    "point clouds",
    Clouds,
    table_of(_rows()),
    ("sets_cd", "nna_cd", "jsd"),
    PointSettings,
    require_one_space,
)
