"""What the training engine adds to the bare network step: time per step, and peak memory.

    python benchmarks/engine_overhead.py [--batch 64] [--steps 30] [--threads 1] [--out benchmarks/results/engine_overhead.csv]

A U-Net of 1.7 M parameters on colour images of 32 x 32. The bare step is what no trainer can leave out: forward and backward
pass on a batch that lies ready, clipping, AdamW. The engine's step is a step of ``fit`` with a run folder: it loads and mirrors
the batch, draws noise levels and noise, weighs the loss, looks for numbers that are not finite, averages the weights, watches
the gradient and keeps metrics. Both steps alternate, so that a drift of the machine's speed meets both; quoted are the medians
of the ratios, of wall time and of processor time (which the machine's other work moves less). Peak memory is measured in a
process of its own for each, above what it had before its first step.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.utils.tensorboard  # part of the level before the first step, for both
from csv_rows import write_rows
from torch import nn

from ornstein.codecs.base import Scale
from ornstein.data import Images, Loader
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import EDMScaling
from ornstein.networks.mp_unet import MPUNet
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import LogNormalSigma
from ornstein.processes.gaussian import EDM
from ornstein.training import Engine, OptimizerSpec, Progress, Stage, Update, fit
from ornstein.training.doctor.gradient import Watch

SIZE, CHANNELS, WARM = 32, 3, 3


def network() -> MPUNet:
    """1.7 M parameters."""
    torch.manual_seed(0)
    return MPUNet(channels=CHANNELS, widths=(32, 60, 68), blocks=2, attention=(2,), head=68)


def bare(batch: int) -> Callable[[], None]:
    """One step of a network on a batch that lies ready."""
    net = network().train()
    spec = OptimizerSpec()
    optimizer = spec.build(list(net.parameters()))
    x = torch.randn(batch, CHANNELS, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    t = torch.rand(batch)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            out = net(x, t)
        (out.float() - x).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()

    return step


def pictures() -> Images:
    """Noise."""
    return Images(np.random.default_rng(0).integers(0, 255, (4096, CHANNELS, SIZE, SIZE), dtype=np.uint8))


def engine(images: Images, batch: int, steps: int, run: Path, on_step: Callable[[Progress], None]) -> None:
    """So many steps of the same network in the engine."""
    process = EDM()
    denoiser = Preconditioned(network(), process, EDMScaling(), autocast=torch.bfloat16, channels_last=True)
    objective = Denoising(denoiser, Scale(1.0), LogNormalSigma(process))
    update = Update(objective, list(denoiser.parameters()), OptimizerSpec())
    stage = Stage("denoiser", Loader(images, batch, 0, flip=True), [update], steps)
    options = Engine(run=run, on_step=on_step, log_every=10, callbacks=[Watch()], save_every_seconds=1e9)
    fit(nn.ModuleDict({"denoiser": denoiser}), [stage], options)


def times(batch: int, steps: int) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor seconds of the engine's steps and of the bare steps that alternate with them."""
    step = bare(batch)
    taken: dict[str, list[tuple[float, float]]] = {"engine": [], "bare": []}
    last = now()

    def on_step(progress: Progress) -> None:
        nonlocal last
        begin = now()
        step()
        end = now()
        if progress.step > WARM:
            taken["engine"].append((begin[0] - last[0], begin[1] - last[1]))
            taken["bare"].append((end[0] - begin[0], end[1] - begin[1]))
        last = now()

    with tempfile.TemporaryDirectory() as folder:
        engine(pictures(), batch, steps + WARM, Path(folder), on_step)
    return taken


def now() -> tuple[float, float]:
    """Wall and processor time."""
    return time.perf_counter(), time.process_time()


def level() -> float:
    """Resident megabytes now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak(which: str, batch: int, steps: int) -> float:
    """Megabytes above the level before the first step, over some steps."""
    images = pictures()  # the user's, not the engine's
    weight = nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    OptimizerSpec().build([weight]).step()  # a first optimiser imports much
    before = level()
    if which == "bare":
        step = bare(batch)
        for _ in range(steps):
            step()
    else:
        with tempfile.TemporaryDirectory() as folder:
            engine(images, batch, steps, Path(folder), lambda progress: None)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6 - before


def peak_apart(which: str, args: argparse.Namespace) -> float:
    """:func:`peak` in a fresh process."""
    words = [sys.executable, __file__, "--peak", which, "--batch", str(args.batch), "--threads", str(args.threads)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/engine_overhead.csv"))
    parser.add_argument("--peak", choices=("bare", "engine"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.peak:
        print(json.dumps(peak(args.peak, args.batch, 4)))
        return
    taken = times(args.batch, args.steps)
    memory = {which: peak_apart(which, args) for which in ("bare", "engine")}
    rows = []
    for name in ("bare", "engine"):
        wall, cpu = ([t[i] for t in taken[name]] for i in (0, 1))
        ratios = [
            statistics.median(o[i] / t[i] for o, t in zip(taken[name], taken["bare"], strict=True)) for i in (0, 1)
        ]
        rows.append(
            {
                "step": name,
                "parameters": sum(p.numel() for p in network().parameters()),
                "batch": args.batch,
                "threads": args.threads,
                "steps": len(wall),
                "median_ms": round(1000 * statistics.median(wall), 1),
                "median_cpu_ms": round(1000 * statistics.median(cpu), 1),
                "over_bare": round(ratios[0], 4),
                "cpu_over_bare": round(ratios[1], 4),
                "peak_mb": round(memory[name], 1),
                "peak_over_bare": round(memory[name] / memory["bare"], 3),
            }
        )
    for row in rows:
        print(row)
    write_rows(args.out, rows)


if __name__ == "__main__":
    main()
