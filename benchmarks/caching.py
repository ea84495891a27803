"""What leaving out the inner part of a network costs and saves: error and time of cached samples, beside those of fewer steps.

    python benchmarks/caching.py [--model fashion-mnist] [--sampler ddim] [-n 16] [--out benchmarks/results/caching.csv]

Errors are root mean squares over pixels in [-1, 1]: against the same seeds' samples without a cache (``of the cache``), and
against ``--reference`` steps without one (``in all``), which is what a time is to be judged by. Times are the processor's, of
one thread. Rows of other samplers in the CSV are kept.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from csv_rows import merge_rows
from torch import Tensor

import ornstein

RESULTS = Path(__file__).resolve().parent / "results"
WAYS = ((50, 1), (50, 2), (50, 3), (50, 5), (25, 1), (25, 2), (20, 1), (20, 2), (12, 1), (12, 2), (8, 1))
"""Steps and cache."""


def rms(a: Tensor, b: Tensor) -> float:
    """Root mean square of the difference."""
    return float((a - b).square().mean().sqrt())


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fashion-mnist")
    parser.add_argument("--sampler", default="ddim")
    parser.add_argument("-n", type=int, default=16)
    parser.add_argument("--reference", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULTS / "caching.csv")
    args = parser.parse_args()
    torch.set_num_threads(1)
    system = ornstein.load(args.model)

    def drawn(steps: int, cache: int) -> tuple[Tensor, float]:
        begin = time.process_time()
        out = system.sample(args.n, steps=steps, sampler=args.sampler, cache=cache).tensor
        return out, (time.process_time() - begin) / args.n

    reference, _ = drawn(args.reference, 1)
    exact: dict[int, Tensor] = {}
    rows: list[dict[str, object]] = []
    for steps, cache in WAYS:
        made, seconds = drawn(steps, cache)
        exact.setdefault(steps, made)
        rows.append(
            {"sampler": args.sampler, "steps": steps, "cache": cache, "ms_a_sample": round(1000 * seconds, 1)}
            | {"error_of_the_cache": round(rms(made, exact[steps]), 4), "error_in_all": round(rms(made, reference), 4)}
        )
        print(*rows[-1].values(), sep="\t", flush=True)
    merge_rows(args.out, rows, ("sampler", "steps", "cache"))


if __name__ == "__main__":
    main()
