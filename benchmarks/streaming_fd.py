"""What the statistics of a streaming Frechet distance cost beside the extractor that feeds them.

    python benchmarks/streaming_fd.py [--images 500] [--out benchmarks/results/streaming_fd.csv]

For each extractor: processor seconds of taking features of random images at its own resolution, of adding them to mean and
covariance batch by batch, and their ratio ``share``. The final eigenvalues are computed once, whatever the number of images:
``finish_seconds``, and ``share_50k`` is the whole cost for 50,000 images.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from csv_rows import write_rows

from ornstein.evaluation import GaussianStatistics, frechet_distance
from ornstein.evaluation.features import ClassifierFeatures, EfficientNetFeatures, Extractor
from ornstein.evaluation.stream import BATCH


def measure(extractor: Extractor, shape: tuple[int, int, int], count: int) -> dict[str, object]:
    """One extractor on ``count`` images of that shape."""
    g = torch.Generator().manual_seed(0)
    statistics = GaussianStatistics(extractor.dims)
    extract = add = 0.0
    extractor(torch.zeros(2, *shape, dtype=torch.uint8))  # what happens once
    for begin in range(0, count, BATCH):
        x = torch.randint(0, 256, (min(BATCH, count - begin), *shape), dtype=torch.uint8, generator=g)
        start = time.process_time()
        features = extractor(x).features
        middle = time.process_time()
        statistics.add(features)
        extract, add = extract + middle - start, add + time.process_time() - middle
    start = time.process_time()
    frechet_distance(statistics.mean, statistics.cov, statistics.mean, statistics.cov + torch.eye(extractor.dims))
    finish = time.process_time() - start
    scale = 50_000 / count
    return {
        "extractor": extractor.name, "dims": extractor.dims, "images": count, "batch": BATCH,
        "extract_seconds": round(extract, 2), "add_seconds": round(add, 3), "share": round(add / extract, 4),
        "finish_seconds": round(finish, 2), "share_50k": round((add * scale + finish) / (extract * scale), 4),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/streaming_fd.csv"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = [
        measure(EfficientNetFeatures(), (3, 224, 224), args.images),
        measure(ClassifierFeatures("fashion-mnist"), (1, 28, 28), 8 * args.images),
    ]
    write_rows(args.out, rows)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
