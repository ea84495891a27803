r"""Error of the deterministic samplers against network evaluations, on exact mixtures, beside diffusers where installed.

Data are mixtures of eight Gaussians in 2, 16, 64 and 256 dimensions, the denoiser is their exact posterior mean, and the error
of a run is the root mean square of x_end - x_exact in units of the data's deviation, x_exact from the same start by Dormand-
Prince with tolerance 1e-7. All finish from t_min with E[x_0], so that what is measured is the solver alone. The processes are
DDPM's table of 1000 betas, on which diffusers' schedulers run as well, and EDM's. Steps are as many as the budget pays for.
A sampler's row is that of its best grid; diffusers' that of its best spacing (linspace, trailing, Karras sigmas).

Writes ``benchmarks/results/solver_error.csv`` and, where matplotlib is installed, ``docs/pictures/solver-error.png``.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import math
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ornstein.core.rng import Rng
from ornstein.processes import EDM, VP, GaussianProcess
from ornstein.processes.schedules import Table
from ornstein.samplers import SAMPLERS, Choice, get, simulate
from ornstein.samplers.grids import get_grid
from ornstein.testing import exact
from ornstein.testing.exact.mixture import MixtureProblem
from ornstein.testing.order import Counting

ROOT = Path(__file__).resolve().parents[1]
BUDGETS = (5, 6, 8, 10, 15, 20, 30, 50)
DIMENSIONS = (2, 16, 64, 256)
PROCESSES: dict[str, GaussianProcess] = {"ddpm": VP(Table.linear()), "edm": EDM()}
GRIDS = ("uniform", "sgm_uniform", "log_snr", "karras", "cosine", "align_your_steps")
LEFT_OUT = ("adaptive_rk", "dpm_adaptive", "paradigms")
"""Their evaluations follow a tolerance and cannot be set."""
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "deis log_rho": ("deis", {"variant": "log_rho"}),
    "pndm heun": ("pndm", {"start": "heun"}),
    "unipc p=2": ("unipc", {"p": 2}),
}
"""Options measured besides the defaults."""
PEERS: dict[str, dict[str, Any]] = {
    "DDIMScheduler": {"clip_sample": False},
    "PNDMScheduler": {},
    "LMSDiscreteScheduler": {},
    "HeunDiscreteScheduler": {},
    "KDPM2DiscreteScheduler": {},
    "DEISMultistepScheduler": {"solver_order": 3},
    "DPMSolverSinglestepScheduler": {},
    "DPMSolverMultistepScheduler": {},
    "UniPCMultistepScheduler": {"solver_order": 3},
}
SPACINGS: tuple[dict[str, Any], ...] = (
    {"timestep_spacing": "linspace"},
    {"timestep_spacing": "trailing"},
    {"timestep_spacing": "linspace", "use_karras_sigmas": True},
)


def problem_in(process: GaussianProcess, dimension: int) -> MixtureProblem:
    """Eight modes of deviation 0.2 at random places, the whole of unit variance."""
    rng = Rng([dimension])
    means = rng.normal((1, 8, dimension), dtype=torch.float64)[0]
    means = (means - means.mean(0)) / means.std(0, correction=0) * math.sqrt(1 - 0.04)
    return exact.mixture(process, torch.ones(8), means, 0.04)


def reference(problem: MixtureProblem, x: Tensor) -> Tensor:
    """Where the flow leads, by a solver of high order."""
    sampler = get("adaptive_rk", options={"tolerance": 1e-7})(problem.denoiser)
    return simulate(sampler, x, torch.tensor([problem.process.t_max, 0.0]), Rng(range(len(x))))


def error(x: Tensor, wanted: Tensor) -> float:
    """Root mean square, the data having unit deviation; infinite where x is not finite."""
    e = float((x - wanted).square().mean().sqrt())
    return e if math.isfinite(e) else math.inf


def largest(budget: int, calls: Callable[[int], int]) -> int:
    """The most steps that the budget pays for, 0 if it pays for none; calls grow with the steps."""
    return bisect_right(range(1, budget + 1), budget, key=calls)


def ours(problem: MixtureProblem, x: Tensor, wanted: Tensor) -> Iterator[tuple[str, str, int, float]]:
    """Sampler, grid, budget and error of every deterministic sampler with a fixed cost."""
    p = problem.process
    fitting = {n: kind for n, kind in SAMPLERS.items() if isinstance(p, kind.needs) and n not in LEFT_OUT}
    fixed = [n for n, kind in fitting.items() if not kind.stochastic and kind.evaluations > 0]
    choices = {n: get(n) for n in fixed} | {title: get(n, options=o) for title, (n, o) in VARIANTS.items()}
    for name, choice in choices.items():

        def calls(steps: int, choice: Choice = choice) -> int:
            counting = Counting(problem.denoiser)
            simulate(choice(counting), x[:1], get_grid("uniform")(p, steps, None, None), Rng([0]))
            return counting.calls

        for budget in BUDGETS:
            steps = largest(budget, calls)
            for grid in GRIDS if steps else ():
                times = get_grid(grid)(p, steps, None, None)
                yield (
                    name,
                    grid,
                    budget,
                    error(simulate(choice(problem.denoiser), x, times, Rng(range(len(x)))), wanted),
                )


def theirs(problem: MixtureProblem, x: Tensor, wanted: Tensor) -> Iterator[tuple[str, str, int, float]]:
    """The same for diffusers' schedulers."""
    import diffusers

    p = problem.process

    def run(scheduler: Any, steps: int) -> tuple[Tensor, int]:
        scheduler.set_timesteps(steps)
        y = x * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            seen = scheduler.scale_model_input(y, t)
            at = (torch.as_tensor(t, dtype=torch.float64) + 1) / 1000
            y = scheduler.step(p.eps(seen, at, problem.denoiser(seen, at).mean), t, y).prev_sample
        return y, len(scheduler.timesteps)

    for name, options in PEERS.items():
        for spacing in SPACINGS:
            allowed = getattr(diffusers, name)().config
            if any(key not in allowed for key in spacing):
                continue
            scheduler = getattr(diffusers, name)(
                beta_start=1e-4, beta_end=0.02, beta_schedule="linear", **options, **spacing
            )

            def calls(steps: int, scheduler: Any = scheduler) -> int:
                try:
                    scheduler.set_timesteps(steps)
                except ValueError:  # too few for this class
                    return 0
                return len(scheduler.timesteps)

            title = "karras" if "use_karras_sigmas" in spacing else spacing["timestep_spacing"]
            for budget in BUDGETS:
                steps = largest(budget, calls)
                if steps < 2:
                    continue
                try:
                    yield name, title, budget, error(run(scheduler, steps)[0], wanted)
                except (IndexError, ValueError):  # a class that fails at this number of steps has no row there
                    continue


def measure(batch: int, titles: list[str], dimensions: list[int]) -> list[dict[str, object]]:
    """The rows: the best grid of each sampler at each budget."""
    rows: list[dict[str, object]] = []
    peers = importlib.util.find_spec("diffusers") is not None
    for title in titles:
        process = PROCESSES[title]
        for dimension in dimensions:
            problem = problem_in(process, dimension)
            x = process.prior((batch, dimension)).sample(Rng(range(batch))).double()
            wanted = reference(problem, x)
            sources = {"ornstein": ours} | ({"diffusers": theirs} if peers and title == "ddpm" else {})
            for source, method in sources.items():
                best: dict[tuple[str, int], tuple[float, str]] = {}
                for name, grid, budget, e in method(problem, x, wanted):
                    key = name, budget
                    best[key] = min(best.get(key, (math.inf, grid)), (e, grid))
                for (name, budget), (e, grid) in sorted(best.items()):
                    rows.append(
                        {"process": title, "dimension": dimension, "source": source, "sampler": name, "grid": grid}
                        | {"evaluations": budget, "error": f"{e:.4g}"}
                    )
            print(f"{title} in {dimension} dimensions: done", flush=True)
    return rows


def plot(rows: list[dict[str, object]], path: Path) -> None:
    """Error against evaluations, our samplers as lines, the best of diffusers as crosses."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = ["ddim", "edm_heun", "dpm_solver_3", "rk4", "pndm", "dpmpp_2m", "unipc", "lms", "deis", "ipndm"]
    figure, axes = pyplot.subplots(1, 3, figsize=(15, 4.6), sharey=True)
    for axis, (process, dimension) in zip(axes, [("ddpm", 2), ("ddpm", 64), ("edm", 64)], strict=True):
        part = [r for r in rows if r["process"] == process and r["dimension"] == dimension]
        for name in shown:
            line = [(r["evaluations"], float(str(r["error"]))) for r in part if r["sampler"] == name]
            axis.plot(*zip(*line, strict=True), marker="o", markersize=3, linewidth=1.2, label=name)
        peer = [
            (b, min(float(str(r["error"])) for r in part if r["source"] == "diffusers" and r["evaluations"] == b))
            for b in BUDGETS
            if any(r["source"] == "diffusers" and r["evaluations"] == b for r in part)
        ]
        if peer:
            axis.plot(*zip(*peer, strict=True), "kx", markersize=7, label="diffusers, best")
        axis.set(xscale="log", yscale="log", xlabel="network evaluations", title=f"{process}, {dimension} dimensions")
        axis.set_xticks(BUDGETS, [str(b) for b in BUDGETS])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("error, in deviations of the data")
    axes[1].legend(fontsize=8, ncol=2)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def read(path: Path) -> list[dict[str, object]]:
    """The rows of former runs; none where there is no file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        return [
            {**row, "dimension": int(row["dimension"]), "evaluations": int(row["evaluations"])}
            for row in csv.DictReader(file)
        ]


def main() -> None:
    """Measure, write the CSV, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--batch", type=int, default=64, help="starts to average over")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "solver_error.csv")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "pictures" / "solver-error.png")
    parser.add_argument("--process", nargs="*", choices=PROCESSES, default=list(PROCESSES), help="none: draw only")
    parser.add_argument("--dimension", nargs="*", type=int, choices=DIMENSIONS, default=list(DIMENSIONS))
    args = parser.parse_args()
    rows = read(args.out)
    if args.process and args.dimension:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # diffusers' own, on options and dtypes
            new = measure(args.batch, args.process, args.dimension)
        kept = [r for r in rows if r["process"] not in args.process or r["dimension"] not in args.dimension]
        rows = sorted(kept + new, key=lambda r: (r["process"], r["dimension"], r["source"], r["sampler"]))
        with args.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    if importlib.util.find_spec("matplotlib") is not None:
        plot(rows, args.picture)
    else:
        print("matplotlib is not installed: no picture")


if __name__ == "__main__":
    main()
