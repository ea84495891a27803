"""Our reading of scheduler files against the installed diffusers, over the configurations of ``tests/interop``: the largest
difference.

For each class: how many configurations, how many states were compared over runs of 10, 20 and 50 steps, and the largest
difference of a state relative to its root mean square, in float32. Writes ``benchmarks/results/scheduler_parity.csv``, which
``tools/samplers_page.py`` shows.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import diffusers
import pytest
from csv_rows import read_rows, write_rows

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from interop.test_schedulers import RATIO_STATE, STEPS, VP_STATE, differences  # noqa: E402


def main() -> None:
    """Compare, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "scheduler_parity.csv")
    parser.add_argument("--classes", nargs="*", help="these alone; the rows of others are kept")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # diffusers' own, on options
    chosen = args.classes or list(VP_STATE | RATIO_STATE)
    rows = [row for row in read_rows(args.out) if row["class"] not in chosen]
    with pytest.MonkeyPatch.context() as patch:
        for name, configurations in (VP_STATE | RATIO_STATE).items():
            if name not in chosen:
                continue
            found: list[float] = []
            for options in configurations:
                for steps in options.get("_steps", STEPS):
                    found += differences({"_class_name": name, **options}, steps, patch)
            rows.append(
                {"class": name, "configurations": str(len(configurations)), "states": str(len(found))}
                | {"largest_difference": f"{max(found):.1e}", "diffusers": diffusers.__version__}
            )
            print(" ".join(rows[-1].values()), flush=True)
    write_rows(args.out, rows)


if __name__ == "__main__":
    main()
