"""How cost grows: sampling time with images, steps, resolution and parameters, training time with the batch; log-log fits.

    python benchmarks/scaling.py [--repeats 3] [--threads 1] [--out benchmarks/results/scaling.csv]

Each quantity is doubled a few times and all else kept; quoted is the slope of log time on log quantity by least squares, and
that of its upper half: an exponent below 1 at small sizes is a fixed cost. Resolutions are given as pixels, with the network's
attention at its coarsest resolution, whose own cost is quadratic in pixels. Times are medians of the processor's, of the
process.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from csv_rows import write_rows
from torch import nn
from unet_speed import step_of

import ornstein
from ornstein.core.rng import Rng
from ornstein.denoisers import Eps, Preconditioned
from ornstein.networks import MPUNet
from ornstein.processes import VP
from ornstein.samplers import get, simulate
from ornstein.samplers.grids import get_grid

RESULTS = Path(__file__).resolve().parent / "results"


def network(width: int = 32) -> MPUNet:
    """Two resolutions, an attention at the coarsest."""
    return MPUNet(channels=3, widths=(width, 2 * width), blocks=1, patch=2, head=width).eval()


def sampling(n: int = 4, steps: int = 4, side: int = 16, width: int = 32) -> Callable[[], None]:
    """A run of DDIM."""
    denoiser = Preconditioned(network(width), VP(), Eps(), channels_last=True)
    sampler, grid = get("ddim")(denoiser), get_grid("uniform")(denoiser.process, steps, 1.0, None)

    @torch.no_grad()
    def run() -> None:
        rng = Rng(range(n))
        simulate(sampler, rng.normal((n, 3, side, side)), grid, rng)

    return run


def training(batch: int) -> Callable[[], None]:
    """A training step on images of 32 x 32."""
    return step_of(network(), "bf16-cl", True, batch)


def sizes(net: nn.Module) -> int:
    """Parameters."""
    return sum(p.numel() for p in net.parameters())


def seconds(run: Callable[[], None], repeats: int) -> float:
    """Median processor time after one that does not count."""
    run()
    spent = []
    for _ in range(repeats):
        begin = time.process_time()
        run()
        spent.append(time.process_time() - begin)
    return statistics.median(spent)


def slope(pairs: list[tuple[float, float]]) -> float:
    """Of log y on log x by least squares."""
    x, y = ([math.log(p[i]) for p in pairs] for i in (0, 1))
    return statistics.linear_regression(x, y).slope


def main() -> None:
    """Measure, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "scaling.csv")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    system = ornstein.build("edm", settings={"size": 16, "channels": 1, "widths": (16, 32), "blocks": 1, "classes": ()})
    cases: dict[str, list[tuple[float, Callable[[], None]]]] = {
        "images (batches of 16)": [(n, lambda n=n: system.sample(n, steps=2, batch=16)) for n in (16, 32, 64, 128)],
        "images in one batch": [(n, sampling(n=n)) for n in (1, 2, 4, 8, 16, 32)],
        "steps": [(n, sampling(steps=n)) for n in (2, 4, 8, 16, 32)],
        "pixels": [(s * s, sampling(side=s, steps=2)) for s in (16, 32, 64, 128)],
        "parameters": [(sizes(network(w)), sampling(width=w)) for w in (16, 32, 64, 128)],
        "batch of training": [(n, training(n)) for n in (1, 2, 4, 8, 16, 32)],
    }
    rows: list[dict[str, object]] = []
    for name, runs in cases.items():
        pairs = [(x, seconds(run, args.repeats)) for x, run in runs]
        upper = pairs[len(pairs) // 2 - 1 :]
        rows.append(
            {"of": name, "from": round(pairs[0][0]), "to": round(pairs[-1][0]), "exponent": round(slope(pairs), 2)}
            | {"of_the_upper_half": round(slope(upper), 2), "ms": " ".join(f"{1000 * s:.1f}" for _, s in pairs)}
        )
        print(*rows[-1].values(), sep="\t", flush=True)
    write_rows(args.out, rows)


if __name__ == "__main__":
    main()
