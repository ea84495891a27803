"""Images a second that the loader hands out on one core, and the time to open a set of a million images.

    python benchmarks/data_loader.py [--images 1000000] [--batch 64] [--repeats 5] [--out benchmarks/results/data_loader.csv]

The set of 32 x 32 colour images (3 GB at a million) is written into a temporary folder part by part and opened in a fresh
process, whose memory is read before and after. Quoted are medians; ``loader`` and its variants count the calls of
``next`` on one thread, with whatever the operating system has of the file in memory.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from csv_rows import write_rows

from ornstein.data import Loader, Writer, open_store
from ornstein.data.augment import EDMAugment

PART = 10_000
STEPS = 400

OPEN = """
import json, re, sys, time
from pathlib import Path
from ornstein.data import open_store
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before, start = resident(), time.perf_counter()
images = open_store(Path(sys.argv[1]))
opened = time.perf_counter() - start
images[[0, len(images) // 2, len(images) - 1]]
print(json.dumps({"seconds": opened, "megabytes": resident() - before, "hash": images.content_hash}))
"""


def write(folder: Path, count: int) -> float:
    """A set of random images; seconds that it took."""
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    writer = Writer(folder)
    for begin in range(0, count, PART):
        n = min(PART, count - begin)
        writer.add(rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8), np.arange(begin, begin + n) % 10)
    writer.finish("images", "noise", tuple("0123456789"))
    return time.perf_counter() - start


def rate(loader: Loader, steps: int) -> float:
    """Images a second over some steps, after the first."""
    stream = iter(loader)
    next(stream)
    start = time.perf_counter()
    for _ in islice(stream, steps):
        pass
    return steps * loader.batch / (time.perf_counter() - start)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/data_loader.csv"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[tuple[str, float, str]] = []
    work = Path(tempfile.mkdtemp(prefix="ornstein-loader-"))
    try:
        folder = work / "set"
        folder.mkdir()
        rows.append((f"write {args.images} images", write(folder, args.images), "seconds"))
        opened = []
        for _ in range(args.repeats):
            done = subprocess.run([sys.executable, "-c", OPEN, str(folder)], capture_output=True, text=True, check=True)
            opened.append(json.loads(done.stdout))
        rows.append((f"open {args.images} images", statistics.median(o["seconds"] for o in opened), "seconds"))
        rows.append(
            (f"memory of opening {args.images} images", statistics.median(o["megabytes"] for o in opened), "MB")
        )
        images = open_store(folder)
        start = time.perf_counter()
        Loader(images, args.batch, 0).batch_at(0)
        rows.append((f"first batch of {args.images} images", time.perf_counter() - start, "seconds"))
        part = images.take(slice(0, 50_000))  # in memory, as a set of that size is after one epoch
        loaders = {
            "loader, 50000 images": Loader(part, args.batch, 0),
            "loader, flip": Loader(part, args.batch, 0, flip=True),
            "loader, EDM augmentation at p = 0.12": Loader(part, args.batch, 0, augment=EDMAugment(0.12)),
            f"loader, {args.images} images mapped": Loader(images, args.batch, 0),
        }
        for name, loader in loaders.items():
            found = statistics.median(rate(loader, STEPS) for _ in range(args.repeats))
            rows.append((name, found, "images/s on one core"))
    finally:
        shutil.rmtree(work)
    same = {"batch": args.batch, "repeats": args.repeats, "machine": platform.machine()}
    write_rows(args.out, [{"what": what, "value": f"{value:.4g}", "unit": unit} | same for what, value, unit in rows])
    for what, value, unit in rows:
        print(f"{what:45} {value:12.4g} {unit}")


if __name__ == "__main__":
    main()
