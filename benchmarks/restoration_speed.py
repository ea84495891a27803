"""What restoration costs beside plain sampling: inpainting 64 images with the bundled Fashion-MNIST model, all in one run.

Writes benchmarks/results/restoration_speed.csv. Plain sampling and each method take turns, ``repeats`` times over, and the
fastest of each counts, so that what else the machine does falls on all alike.

    python benchmarks/restoration_speed.py [--images 64] [--steps 50] [--repeats 2] [--methods ddrm,ddnm,...]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from csv_rows import write_rows

import ornstein
from ornstein.core.measurement import Measurement
from ornstein.measurements import Mask
from ornstein.restoration import METHODS, get_method

RESULTS = Path(__file__).parent / "results" / "restoration_speed.csv"
PLAIN = "sampling"
OTHERS = ("repaint", "particles")
"""They take several evaluations a step, by design."""
LIMITS = {False: 1.15, True: 3.2}
"""Times plain sampling, of methods without and with a derivative of the network."""


def runs(images: int, steps: int, methods: list[str]) -> dict[str, Callable[[], object]]:
    """Plain ancestral sampling without guidance, and each method on a hole of twelve by twelve pixels."""
    system = ornstein.load("fashion-mnist")
    known = torch.ones(1, 28, 28)
    known[:, 8:20, 8:20] = 0
    mask = Mask(known)
    x = torch.rand((images, 1, 28, 28), generator=torch.Generator().manual_seed(0)) * 2 - 1
    given = Measurement(mask(x), mask)

    def plain() -> object:
        return system.sample(images, steps=steps, sampler="ancestral", guidance=1.0, label=-1, batch=images)

    def restoring(name: str) -> Callable[[], object]:
        return lambda: ornstein.restore(system, given, method=name, steps=steps, batch=images)

    return {PLAIN: plain, **{name: restoring(name) for name in methods}}


def main() -> None:
    """Time, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--methods", default=",".join(m for m in METHODS if m not in OTHERS))
    args = parser.parse_args()
    todo = runs(args.images, args.steps, args.methods.split(","))
    runs(args.images, 1, [])[PLAIN]()  # the first call prepares what later ones find
    best = dict.fromkeys(todo, float("inf"))
    for _ in range(args.repeats):
        for name, run in todo.items():
            begin = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - begin)
    rows = []
    for name, seconds in best.items():
        gradient = name != PLAIN and get_method(name).gradient
        ratio = seconds / best[PLAIN]
        limit = 1.0 if name == PLAIN else LIMITS[gradient]
        rows.append(
            {"method": name, "gradient": gradient, "images": args.images, "steps": args.steps}
            | {"processor_seconds": round(seconds, 2), "times_sampling": round(ratio, 3)}
            | {"at_most": limit, "holds": ratio <= limit}
        )
        print(f"{name:10} {seconds:8.2f} s  {ratio:5.2f} times sampling (at most {limit:g})", flush=True)
    write_rows(RESULTS, rows)


if __name__ == "__main__":
    main()
