"""What the training engine adds to the bare network step: time per step, and peak memory.

    python benchmarks/engine_overhead.py [--batch 64] [--steps 30] [--threads 1] [--out benchmarks/results/engine_overhead.csv]

A U-Net of 1.6 M parameters on colour images of 32 x 32. The bare step is what no trainer can leave out: forward and backward
pass on a batch that lies ready, clipping, AdamW. The engine's step is a step of ``fit`` with a run folder: it loads and mirrors
the batch, draws noise levels and noise, weighs the loss, looks for numbers that are not finite, averages the weights, watches
the gradient and keeps metrics. Both steps alternate, so that a drift of the machine's speed meets both; quoted is the median of
the ratios. Peak memory is measured in a process of its own for each, above what it had before its first step.
"""

from __future__ import annotations

import argparse
import csv
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
    """1.6 M parameters."""
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


def engine(batch: int, steps: int, run: Path, on_step: Callable[[Progress], None]) -> None:
    """So many steps of the same network in the engine."""
    process = EDM()
    denoiser = Preconditioned(network(), process, EDMScaling(), autocast=torch.bfloat16, channels_last=True)
    objective = Denoising(denoiser, Scale(1.0), LogNormalSigma(process))
    images = Images(np.random.default_rng(0).integers(0, 255, (4096, CHANNELS, SIZE, SIZE), dtype=np.uint8))
    update = Update(objective, list(denoiser.parameters()), OptimizerSpec())
    stage = Stage("denoiser", Loader(images, batch, 0, flip=True), [update], steps)
    options = Engine(run=run, on_step=on_step, log_every=10, callbacks=[Watch()], save_every_seconds=1e9)
    fit(nn.ModuleDict({"denoiser": denoiser}), [stage], options)


def times(batch: int, steps: int) -> tuple[list[float], list[float]]:
    """Seconds of the engine's steps and of the bare steps that alternate with them."""
    step = bare(batch)
    ours, theirs = [], []
    last = time.perf_counter()

    def on_step(progress: Progress) -> None:
        nonlocal last
        begin = time.perf_counter()
        step()
        end = time.perf_counter()
        if progress.step > WARM:
            ours.append(begin - last)
            theirs.append(end - begin)
        last = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        engine(batch, steps + WARM, Path(folder), on_step)
    return ours, theirs


def level() -> float:
    """Resident megabytes now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak(which: str, batch: int, steps: int) -> float:
    """Megabytes above the level before the first step, over some steps."""
    if which == "bare":
        step = bare(batch)
        before = level()
        for _ in range(steps):
            step()
    else:
        images = np.zeros((4096, CHANNELS, SIZE, SIZE), np.uint8)
        images[:] = 1  # the data set is the user's, not the engine's: its pages are counted before
        before = level()
        del images
        with tempfile.TemporaryDirectory() as folder:
            engine(batch, steps, Path(folder), lambda progress: None)
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
    ours, theirs = times(args.batch, args.steps)
    ratio = statistics.median(o / t for o, t in zip(ours, theirs, strict=True))
    memory = {which: peak_apart(which, args) for which in ("bare", "engine")}
    parameters = sum(p.numel() for p in network().parameters())
    common = {"parameters": parameters, "batch": args.batch, "threads": args.threads, "steps": len(ours)}
    rows = [
        {
            "step": name,
            **common,
            "median_ms": round(1000 * statistics.median(values), 1),
            "min_ms": round(1000 * min(values), 1),
            "over_bare": round(r, 4),
            "peak_mb": round(memory[name], 1),
            "peak_over_bare": round(memory[name] / memory["bare"], 3),
        }
        for name, values, r in (("bare", theirs, 1.0), ("engine", ours, ratio))
    ]
    for row in rows:
        print(row)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open("w", newline="") as f:
        writer = csv.DictWriter(f, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
