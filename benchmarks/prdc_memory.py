"""Precision, recall, density and coverage of 50,000 against 50,000 vectors: time, and memory beside a full matrix.

    python benchmarks/prdc_memory.py [-n 50000] [--dims 64] [--threads 1] [--out benchmarks/results/prdc_memory.csv]

A matrix of distances in float32 would take 4 n^2 bytes, ``matrix_mb``. ``input_mb`` are the vectors; ``peak_mb`` is the largest
resident size of the process, PyTorch and the vectors included.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import torch
from csv_rows import write_rows

from ornstein.evaluation import prdc


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=50_000)
    parser.add_argument("--dims", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/prdc_memory.csv"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(args.n, args.dims, generator=g), torch.randn(args.n, args.dims, generator=g)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begin, used = time.perf_counter(), time.process_time()
    found = prdc(a, b)
    row = {
        "n": args.n, "dims": args.dims, "threads": args.threads, "seconds": round(time.perf_counter() - begin, 1),
        "cpu_seconds": round(time.process_time() - used, 1), "input_mb": round(8 * args.n * args.dims / 2**20),
        "before_mb": round(before), "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "matrix_mb": round(4 * args.n**2 / 2**20), "precision": found.precision, "recall": found.recall,
        "density": found.density, "coverage": found.coverage,
    }  # fmt: skip
    write_rows(args.out, [row])
    print(row)


if __name__ == "__main__":
    main()
