r"""Error of the deterministic samplers against network evaluations, beside diffusers and k-diffusion, in one process.

Problems: mixtures of eight Gaussians in 2, 16, 64 and 256 dimensions with their exact posterior mean, on DDPM's table of 1000
betas and on EDM's process; and the bundled Fashion-MNIST model against 1000 steps. The error of a run is the root mean square
of x_end - x_exact in units of the data's deviation. All finish with E[x_0], so that what is measured is the solver alone.
Steps are as many as the budget pays for, and a solver's row is that of its best grid.

Ours run on named grids, and the best ten of them (two on the bundled model, and beyond 15 evaluations) once more on times
fitted to the problem (``fitted``, :func:`ornstein.samplers.fit_grid`) on other starts than those that are measured, from the
best named grid and from the times fitted to the next larger budget, thinned out or resampled. Peers run on every spacing that
they have.

k-diffusion is measured where it is found; ``pip install --no-deps k-diffusion==0.1.1.post1`` is enough. Empty modules stand
in for torchvision, torchdiffeq and torchsde where they are missing, which its samplers here do not use; its rows say so.

Writes ``benchmarks/results/solvers.csv`` and, where matplotlib is installed, ``docs/pictures/solver-error.png``.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from csv_rows import read_rows, write_rows
from solver_peers import Row, diffusers, largest, of_k_diffusion
from solver_problems import PROCESSES, Problem, bundled, mixture
from torch import Tensor

from ornstein.core.rng import Rng
from ornstein.samplers import SAMPLERS, Choice, Tapered, fit_grid, get, simulate
from ornstein.samplers.base import DenoisingSampler
from ornstein.samplers.grids import get_grid
from ornstein.samplers.search import missed
from ornstein.testing.order import Counting

ROOT = Path(__file__).resolve().parents[1]
BUDGETS = (5, 6, 8, 10, 15, 20, 30, 50)
DIMENSIONS = (2, 16, 64, 256)
GRIDS = ("uniform", "trailing", "log_snr", "karras", "even_karras", "cosine", "align_your_steps")
LEFT_OUT = ("adaptive_rk", "dpm_adaptive", "paradigms")
"""Their evaluations follow a tolerance and cannot be set."""
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "deis log_rho": ("deis", {"variant": "log_rho"}),
    "pndm heun": ("pndm", {"start": "heun"}),
    "unipc p=2": ("unipc", {"p": 2}),
}
"""Options measured besides the defaults."""
TAPERED = {"deis log_rho tapered": ("deis", {"variant": "log_rho"}), "lms tapered": ("lms", {})}
"""Those whose order falls in the last two steps."""
FEW = ("dpmpp_2m", "dpmpp_3m", "unipc", "unipc p=2", "deis", "deis log_rho", "ipndm", "lms", *TAPERED)
"""Those that are measured on the bundled model, whose evaluations cost."""
MISSING = [m for m in ("torchvision", "torchdiffeq", "torchsde") if importlib.util.find_spec(m) is None]
SEARCHED, SEARCHED_FEW, FEW_FROM = 10, 2, 20
"""How many samplers get fitted times: the best so many on named grids; few on the bundled model and from 20 evaluations on."""
ROUNDS, ROUNDS_FEW, ROUNDS_MANY, MANY_TO = 60, 30, 150, 10
"""of a fit; few from 20 evaluations on, many up to 10 on the mixtures, where a round costs little."""
KEPT = 0.95
"""of the starts that times are fitted to up to 10 evaluations on the mixtures: with few steps some end in another mode."""
STARTS = 8
"""of the bundled model, whose evaluations cost: as many to measure on, as many others to fit times to."""
FITTED_TO = {"fashion-mnist": 20}
"""Beyond so many evaluations the named grids are left as they are."""


def choices(problem: Problem) -> dict[str, Choice]:
    """Our samplers on a problem."""
    fixed = [
        n
        for n, kind in SAMPLERS.items()
        if not kind.stochastic
        and kind.evaluations > 0
        and n not in LEFT_OUT
        and isinstance(problem.process, kind.needs)
    ]
    every = {n: get(n) for n in fixed}
    every |= {title: get(n, options=o) for title, (n, o) in {**VARIANTS, **TAPERED}.items()}
    return every if problem.name != "fashion-mnist" else {n: every[n] for n in FEW}


def grids_of(problem: Problem) -> tuple[str, ...]:
    """The named grids that are tried; few on the bundled model."""
    if problem.name == "fashion-mnist":
        return "log_snr", "karras", "even_karras", "trailing", "align_your_steps"
    return GRIDS


def affordable(choice: Choice, problem: Problem) -> dict[int, int]:
    """The number of steps that each budget pays for."""

    def calls(steps: int) -> int:
        counting = Counting(problem.denoiser)
        cond = {key: value[:1] for key, value in problem.cond.items()}
        simulate(
            choice(counting), problem.x[:1], get_grid("uniform")(problem.process, steps, None, None), Rng([0]), cond
        )
        return counting.calls

    # The calls are a + b steps from a few steps on; where they are not (starts that cost more), they are counted.
    known = {n: calls(n) for n in (1, 2, 3, 4, 5, 6)}
    per_step = known[6] - known[5]
    return {b: largest(b, lambda n: known[n] if n in known else known[6] + per_step * (n - 6)) for b in BUDGETS}


def built(name: str, choice: Choice, problem: Problem, steps: int) -> DenoisingSampler:
    """A sampler for a run of so many steps."""
    sampler: Any = choice(problem.denoiser)
    return Tapered(sampler, steps) if name in TAPERED else sampler


def ours(problem: Problem, budgets: tuple[int, ...]) -> Iterator[Row]:
    """Every sampler on named grids, then the best on fitted ones."""
    process, rng = problem.process, partial(Rng, range(len(problem.x)))
    found: dict[int, list[tuple[float, str, str]]] = {b: [] for b in budgets}
    kinds = choices(problem)
    steps = {name: affordable(choice, problem) for name, choice in kinds.items()}
    for name, choice in kinds.items():
        for budget in budgets:
            for grid in grids_of(problem) if steps[name][budget] else ():
                times = get_grid(grid)(process, steps[name][budget], None, None)
                sampler = built(name, choice, problem, steps[name][budget])
                e = problem.error(simulate(sampler, problem.x, times, rng(), problem.cond))
                found[budget].append((e, name, grid))
                yield name, grid, budget, e
    carried: Tensor | None = None
    for budget in sorted((b for b in budgets if b <= FITTED_TO.get(problem.name, math.inf)), reverse=True):
        few = budget >= FEW_FROM
        count = SEARCHED_FEW if few or problem.name == "fashion-mnist" else SEARCHED
        starts: dict[str, str] = {}
        for _, name, grid in sorted(found[budget]):
            if steps[name][budget] >= 2 and len(starts) < count:
                starts.setdefault(name, grid)
        best: tuple[float, Tensor] | None = None
        for name, grid in starts.items():
            n = steps[name][budget]
            sampler = built(name, kinds[name], problem, n)
            begin = [get_grid(grid)(process, n, None, None)]
            if carried is not None:
                begin += [resampled(carried, n), thinned(problem, sampler, carried, n)]
            rounds, kept = ROUNDS_FEW if few else ROUNDS, 1.0
            if budget <= MANY_TO and problem.name != "fashion-mnist":
                rounds, kept = ROUNDS_MANY, KEPT
            fitted = [fit(problem, sampler, times, rounds, kept) for times in begin]
            other, times = min(fitted, key=lambda pair: pair[0])
            best = (other, times) if best is None or other < best[0] else best
            yield name, "fitted", budget, problem.error(simulate(sampler, problem.x, times, rng(), problem.cond))
        carried = carried if best is None else best[1]


def fit(problem: Problem, sampler: DenoisingSampler, times: Tensor, rounds: int, kept: float) -> tuple[float, Tensor]:
    """Times fitted to the other starts, and the mean square of the error there, by which fits are chosen."""
    x, cond = problem.others, problem.others_cond
    times = fit_grid(sampler, x, problem.others_wanted, times, cond=cond, rounds=rounds, kept=kept)
    end = simulate(sampler, x, times, Rng(range(len(x))), cond)
    return float(missed(end, problem.others_wanted, kept)), times


def thinned(problem: Problem, sampler: DenoisingSampler, times: Tensor, steps: int) -> Tensor:
    """The same times without those that are missed least, taken out one by one; all of them where none is too many."""
    rng = partial(Rng, range(len(problem.others)))

    def error(without: Tensor) -> float:
        end = simulate(sampler, problem.others, without, rng(), problem.others_cond)
        return float((end - problem.others_wanted).double().square().mean())

    while len(times) > steps + 1:
        fewer = [torch.cat([times[:i], times[i + 1 :]]) for i in range(1, len(times) - 1)]
        times = min(fewer, key=error)
    return times


def resampled(times: Tensor, steps: int) -> Tensor:
    """The same course of log t with another number of steps."""
    course = times[:-1].log()
    at = torch.linspace(0, len(course) - 1, steps, dtype=torch.float64)
    low = at.floor().long().clamp(max=len(course) - 2)
    return torch.cat([torch.lerp(course[low], course[low + 1], at - low).exp(), times[-1:]])


def measure(problem: Problem, sources: list[str], budgets: tuple[int, ...]) -> list[dict[str, object]]:
    """The rows: the best grid of each solver at each budget."""
    methods = {
        "ornstein": lambda: ours(problem, budgets),
        "diffusers": lambda: diffusers(problem, budgets),
        "k-diffusion": lambda: of_k_diffusion(problem, budgets),
    }
    rows: list[dict[str, object]] = []
    for source in sources:
        best: dict[tuple[str, int], tuple[float, str]] = {}
        for name, grid, budget, e in methods[source]():
            best[name, budget] = min(best.get((name, budget), (math.inf, grid)), (e, grid))
        note = f"empty stand-ins for {', '.join(MISSING)}" if source == "k-diffusion" and MISSING else ""
        for (name, budget), (e, grid) in sorted(best.items()):
            rows.append(
                {"process": problem.name, "dimension": problem.dimension, "source": source, "sampler": name}
                | {"grid": grid, "evaluations": budget, "error": f"{e:.4g}", "note": note}
            )
        print(f"{problem.name} in {problem.dimension} dimensions, {source}: done", flush=True)
    return rows


def best_of(rows: list[dict[str, object]], source: tuple[str, ...], budget: int) -> tuple[float, str]:
    """The least error of some sources at a budget, and whose it is."""
    found = [
        (float(str(r["error"])), f"{r['sampler']}, {r['grid']}")
        for r in rows
        if r["source"] in source and r["evaluations"] == budget
    ]
    return min(found, default=(math.inf, "-"))


def compare(rows: list[dict[str, object]]) -> list[str]:
    """A table: the best of ours and of theirs at every budget."""
    lines = ["| problem | evaluations | ours | | theirs | | ratio |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for key in dict.fromkeys((r["process"], r["dimension"]) for r in rows):
        part = [r for r in rows if (r["process"], r["dimension"]) == key]
        for budget in BUDGETS:
            (a, mine), (b, other) = (
                best_of(part, ("ornstein",), budget),
                best_of(part, ("diffusers", "k-diffusion"), budget),
            )
            if math.isfinite(b):
                lines.append(f"| {key[0]}, {key[1]} | {budget} | {a:.2g} | {mine} | {b:.2g} | {other} | {a / b:.2f} |")
    return lines


def plot(rows: list[dict[str, object]], path: Path) -> None:
    """Error against evaluations: our samplers as lines, the best of theirs as crosses."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = ["ddim", "edm_heun", "dpm_solver_3", "rk4", "pndm", "dpmpp_2m", "unipc", "lms", "deis", "ipndm"]
    panels = [p for p in (("ddpm", 2), ("ddpm", 16), ("ddpm", 64), ("ddpm", 256), ("edm", 64), ("fashion-mnist", 784))]
    have = {(r["process"], r["dimension"]) for r in rows}
    panels = [p for p in panels if p in have]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.4 * len(panels), 4.6), squeeze=False)
    for axis, (process, dimension) in zip(axes[0], panels, strict=True):
        part = [r for r in rows if r["process"] == process and r["dimension"] == dimension]
        for i, name in enumerate(shown):
            line = [
                (r["evaluations"], float(str(r["error"])))
                for r in part
                if r["sampler"] == name and r["source"] == "ornstein"
            ]
            if line:
                axis.plot(*zip(*line, strict=True), marker="o", markersize=3, linewidth=1.2, label=name, color=f"C{i}")
        axis.plot(
            BUDGETS,
            [best_of(part, ("ornstein",), b)[0] for b in BUDGETS],
            "k-",
            linewidth=2.2,
            alpha=0.35,
            label="best",
        )
        for source, mark in (("diffusers", "kx"), ("k-diffusion", "k+")):
            peer = [(b, best_of(part, (source,), b)[0]) for b in BUDGETS]
            peer = [(b, e) for b, e in peer if math.isfinite(e)]
            if peer:
                axis.plot(*zip(*peer, strict=True), mark, markersize=7, label=f"{source}, best")
        axis.set(xscale="log", yscale="log", xlabel="network evaluations", title=f"{process}, {dimension} dimensions")
        axis.set_xticks(BUDGETS, [str(b) for b in BUDGETS])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("error, in deviations of the data")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, ncol=7, loc="lower center")
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.savefig(path, dpi=90)


def read(path: Path) -> list[dict[str, object]]:
    """The rows of former runs; none where there is no file."""
    return [
        {**row, "dimension": int(row["dimension"]), "evaluations": int(row["evaluations"])} for row in read_rows(path)
    ]


def main() -> None:
    """Measure, write the CSV, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--batch", type=int, default=128, help=f"starts to average over ({STARTS} of the bundled model)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "solvers.csv")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "pictures" / "solver-error.png")
    every = [*PROCESSES, "fashion-mnist"]
    parser.add_argument("--process", nargs="*", choices=every, default=every, help="none: draw only")
    parser.add_argument("--dimension", nargs="*", type=int, choices=DIMENSIONS, default=list(DIMENSIONS))
    sources = ["ornstein", "diffusers", "k-diffusion"]
    present = [s for s in sources if importlib.util.find_spec(s.replace("-", "_")) is not None]
    parser.add_argument("--source", nargs="*", choices=sources, default=present)
    parser.add_argument("--budget", nargs="*", type=int, choices=BUDGETS, default=list(BUDGETS))
    args = parser.parse_args()
    rows = read(args.out)
    torch.set_num_threads(1)
    for name in args.process:
        for dimension in args.dimension if name != "fashion-mnist" else [0]:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the peers' own, on options and dtypes
                problem = bundled(STARTS) if name == "fashion-mnist" else mixture(name, dimension, args.batch)
                new = measure(problem, args.source, tuple(sorted(args.budget)))
            key = (problem.name, problem.dimension)
            kept = [
                r
                for r in rows
                if (r["process"], r["dimension"]) != key
                or r["source"] not in args.source
                or r["evaluations"] not in args.budget
            ]
            order = ("process", "dimension", "source", "sampler", "evaluations")
            rows = sorted(kept + new, key=lambda r: tuple(r[name] for name in order))
            write_rows(args.out, rows)
    print("\n".join(compare(rows)))
    if importlib.util.find_spec("matplotlib") is not None:
        plot(rows, args.picture)
    else:
        print("matplotlib is not installed: no picture")


if __name__ == "__main__":
    main()
