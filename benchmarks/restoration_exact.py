"""Every restoration method against the exact posterior of a Gaussian mixture: docs/guide/restore-and-edit.md.

Three mixtures of six modes in eight dimensions and three measurements of each kind; the table holds means over the nine. Writes
benchmarks/results/restoration_exact.csv and prints the rows of the page.

    python benchmarks/restoration_exact.py [--draws 1000]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean

import torch
from csv_rows import write_rows
from torch import Tensor

from ornstein.core.rng import Stream
from ornstein.measurements import Linear, Mask, Matrix, Measurement
from ornstein.processes import VP
from ornstein.restoration import METHODS
from ornstein.samplers.base import simulate
from ornstein.samplers.grids import get_grid
from ornstein.testing import exact
from ornstein.testing.exact.mixture import MixtureProblem

RESULTS = Path(__file__).parent / "results" / "restoration_exact.csv"
STEPS = 100
FIELDS = ("operator", "method", "mean", "covariance", "modes", "sliced_w2", "residual")


def normal(shape: tuple[int, ...], seed: int) -> Tensor:
    """Standard normal draws."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def operators(seed: int) -> dict[str, tuple[Linear, float]]:
    """Three random directions with noise 0.1, and three known coordinates without noise."""
    mask = torch.zeros(8, dtype=torch.float64)
    mask[:3] = 1
    return {"3 projections, noise 0.1": (Matrix(normal((3, 8), seed), (8,)), 0.1), "3 of 8 known": (Mask(mask), 0.0)}


def errors(x: Tensor, given: Measurement, prior: MixtureProblem, posterior: MixtureProblem) -> dict[str, float]:
    """Of the mean (in root traces of the posterior), covariance (relative), shares of modes (total variation), law, fit."""
    ref = posterior.sample(Stream(7), len(x))
    cov = torch.cov(ref.T)
    u = normal((8, 200), 9)
    u = u / u.norm(dim=0)
    gap = (x @ u).sort(0).values - (ref @ u).sort(0).values
    shares = [prior.components(v, 0.0).mean(0) for v in (x, ref)]
    return {
        "mean": float((x.mean(0) - ref.mean(0)).norm() / cov.trace().sqrt()),
        "covariance": float((torch.cov(x.T) - cov).norm() / cov.norm()),
        "modes": 0.5 * float((shares[0] - shares[1]).abs().sum()),
        "sliced_w2": float((gap**2).mean().sqrt()),
        "residual": float((given.residual(x) ** 2).mean().sqrt()),
    }


def measure(seed: int, draws: int) -> list[dict[str, object]]:
    """All methods on one mixture and one measurement of each kind."""
    process = VP()
    prior = exact.mixture(process, torch.ones(6), normal((6, 8), seed), 0.15)
    grid = get_grid("uniform")(process, STEPS, process.t_max, None)
    coarse = get_grid("uniform")(process, 25, process.t_max, None)
    rows: list[dict[str, object]] = []
    for kind, (operator, noise) in operators(100 + seed).items():
        y = operator(prior.sample(Stream(200 + seed), 1))
        y = (
            operator(y + noise * normal(tuple(y.shape), 300 + seed))
            if isinstance(operator, Mask)
            else (y + noise * normal(tuple(y.shape), 300 + seed))
        )
        posterior = exact.conditioned(prior, Measurement(y, operator, noise))
        given = Measurement(y.expand(draws, -1), operator, noise)
        for name, method in METHODS.items():
            if name == "repaint" and not isinstance(operator, Mask):
                continue
            options = {"data_var": 1.0} if "data_var" in method.options else {}
            move = method.make(prior.denoiser, given, options)
            with torch.no_grad():
                x = simulate(
                    move, normal((draws, 8), 400 + seed), coarse if name == "repaint" else grid, Stream(500 + seed)
                )
            rows.append({"operator": kind, "method": name, **errors(x, given, prior, posterior)})
        rows.append(
            {"operator": kind, "method": "prior", **errors(prior.sample(Stream(8), draws), given, prior, posterior)}
        )
        rows.append(
            {"operator": kind, "method": "exact", **errors(posterior.sample(Stream(9), draws), given, prior, posterior)}
        )
    return rows


def main() -> None:
    """Run, average, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    rows = [row for seed in range(3) for row in measure(seed, draws)]
    keys = list(dict.fromkeys((r["operator"], r["method"]) for r in rows))
    means: list[dict[str, object]] = []
    for key in keys:
        mine = [r for r in rows if (r["operator"], r["method"]) == key]
        mean = {f: round(fmean(float(str(r[f])) for r in mine), 3) for f in FIELDS[2:]}
        means.append(dict(zip(FIELDS, key, strict=False)) | mean)
        print("| " + " | ".join([*map(str, key), *(f"{mean[f]:.2f}" for f in FIELDS[2:])]) + " |", flush=True)
    write_rows(RESULTS, means)


if __name__ == "__main__":
    main()
