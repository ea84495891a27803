"""Time and memory of the distances between sets of feature vectors, each in a process of its own.

    python benchmarks/metrics_speed.py [--threads 2] [--out benchmarks/results/metrics_speed.csv]

``peak_mb`` is the largest resident size of the process, its input (N x D float32, twice) and PyTorch included.
``cpu_seconds`` is the processor time of all threads: divided by their number, it says what an idle machine would take.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from csv_rows import write_rows

from ornstein.evaluation import frechet, kid, prdc

CASES = (
    ("fd", 10_000, 2048),
    ("kid", 10_000, 2048),
    ("prdc", 10_000, 2048),
    ("all", 10_000, 2048),
    ("prdc", 50_000, 64),
)
METRICS = {"fd": (frechet,), "kid": (kid,), "prdc": (prdc,), "all": (frechet, kid, prdc)}


def measure(name: str, n: int, dims: int) -> dict[str, object]:
    """One case in this process."""
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(n, dims, generator=g).relu_(), torch.randn(n, dims, generator=g).relu_()
    begin, used = time.perf_counter(), time.process_time()
    for metric in METRICS[name]:
        metric(a, b)
    seconds, used = time.perf_counter() - begin, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "metric": name, "n": n, "dims": dims, "threads": torch.get_num_threads(), "seconds": round(seconds, 1),
        "cpu_seconds": round(used, 1), "peak_mb": round(peak),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/metrics_speed.csv"))
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.case:
        row = measure(args.case[0], int(args.case[1]), int(args.case[2]))
        print(json.dumps(row))
        return
    rows = []
    for case in CASES:
        words = [sys.executable, __file__, "--threads", str(args.threads), "--case", *map(str, case)]
        rows.append(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))
        print(rows[-1], flush=True)
    write_rows(args.out, rows)


if __name__ == "__main__":
    main()
