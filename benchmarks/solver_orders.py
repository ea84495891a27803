"""Measured orders of convergence of the deterministic samplers, on Gaussian data whose flow is known exactly.

Read off the errors at N, 2N and 4N equal steps in t between t = 0.9 and 0.1 (N = 32; for multistep methods of order 3 and more
N = 256, after a ramp of small steps), as the conformance suite does on every process. Writes
``benchmarks/results/solver_orders.csv``, which ``tools/samplers_page.py`` shows in ``docs/guide/measured-samplers.md``.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from csv_rows import write_rows

from ornstein.core.errors import UsageError
from ornstein.processes import EDM, VE, VP, FlowMatching, GaussianProcess
from ornstein.processes.schedules import Cosine
from ornstein.samplers import SAMPLERS, get
from ornstein.testing import exact
from ornstein.testing.order import measured_order

ROOT = Path(__file__).resolve().parents[1]
PROCESSES: dict[str, GaussianProcess] = {
    "vp": VP(),
    "vp_cosine": VP(Cosine()),
    "ve": VE(),
    "edm": EDM(),
    "flow_matching": FlowMatching(),
}
LOW = {"ve": 0.35}
"""The last time where sigma(0.1) would be far below the data's deviation, and the leading error terms vanish."""


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "solver_orders.csv")
    args = parser.parse_args()
    rows: list[dict[str, str]] = []
    for name, kind in SAMPLERS.items():
        if kind.stochastic or kind.order == 0 or not isinstance(PROCESSES["vp"], kind.needs):
            continue
        row = {"sampler": name, "declared": str(kind.order), "evaluations": str(kind.evaluations)}
        ramp = kind.order > 2 and kind.history > 0
        for title, process in PROCESSES.items():
            problem = exact.gaussian(process, 0.7, 0.25)
            try:
                order = measured_order(
                    get(name), problem, 256 if ramp else 32, (0.9 * process.t_max, LOW.get(title, 0.1)), ramp=ramp
                )
            except UsageError:  # errors at the level of rounding
                order = math.nan
            row[title] = "exact" if order == math.inf else "-" if math.isnan(order) else f"{order:.2f}"
        rows.append(row)
        print("| " + " | ".join([f"`{name}`", *list(row.values())[1:]]) + " |", flush=True)
    write_rows(args.out, rows)


if __name__ == "__main__":
    main()
