"""Training step and sampling step of our U-Net against two peers of equal parameters, paired in one process.

    python benchmarks/unet_speed.py [--batches 1 16 64] [--tasks train sample] [--modes fp32 bf16-cl] [--repeats 7] [--threads 2]

Peers: ``diffusers`` (UNet2DModel) and ``denoising-diffusion-pytorch`` (Unet), each about 1.7 M parameters at 32 x 32 x 3,
within 3 % of ours. The second imports torchvision and pytorch-fid for image files and scores only; empty stand-in modules
take their places here. diffusers' attention heads are 8 channels wide unless told otherwise, which is slow on a CPU; ``one
head`` is the same network with one head of all channels. Ours is measured twice: ``ornstein`` as the recipes build it, on
blocks of 2 x 2 pixels, and ``ornstein, patch 1`` with the peers' resolutions, which does the operations that theirs do.

Modes: fp32; bf16 (autocast); with ``-cl`` on channels_last memory; with ``-compiled`` by ``torch.compile``. All systems in all
modes are timed in turn, so that a drift of the machine's speed meets all of them; quoted are medians, and the median over
the rounds of a peer's time over ours. Our default mode (sampling fp32-cl, training bf16-cl, as the recipes do) is compared
with the fastest peer in its default mode, fp32; our fast mode (bf16-cl) with the fastest peer in the best of its modes.
Rows of other tasks and batches in the CSV are kept.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from csv_rows import merge_rows
from peers import CHANNELS, SIZE, parameters, unets
from torch import nn

RESULTS = Path(__file__).resolve().parent / "results"
OURS = ("ornstein", "ornstein, patch 1")
DEFAULT = {"train": "bf16-cl", "sample": "fp32-cl"}
"""The mode in which recipes train and sample."""
FAST = "bf16-cl"
PEERS_DEFAULT = "fp32"
TARGETS = {("sample", "default"): 2.0, ("train", "default"): 1.5, ("sample", "fast"): 4.0, ("train", "fast"): 2.5}


def step_of(net: nn.Module, mode: str, train: bool, batch: int) -> Callable[[], None]:
    """One training or sampling step of a copy of the network, in a mode."""
    net = copy.deepcopy(net).train(train)
    x, t = torch.randn(batch, CHANNELS, SIZE, SIZE), torch.rand(batch)
    if "-cl" in mode:
        net = net.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    autocast = mode.startswith("bf16")
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, foreach=True)
    called = torch.compile(net, dynamic=False) if "compiled" in mode else net

    def training() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = called(x, t)
        (out.float() - x).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()

    @torch.no_grad()
    def sampling() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            called(x, t)

    return training if train else sampling


Times = dict[tuple[str, str], list[float]]
"""Seconds of each round, by system and mode."""


def measure(steps: dict[tuple[str, str], Callable[[], None]], repeats: int) -> Times:
    """All in turn, so many rounds after one that does not count."""
    times: Times = {key: [] for key in steps}
    for repeat in range(repeats + 1):
        for key, step in steps.items():
            begin = time.perf_counter()
            step()
            if repeat:
                times[key].append(time.perf_counter() - begin)
    return times


def ratio(theirs: list[float], ours: list[float]) -> float:
    """The median over the rounds of their time over ours."""
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


def fastest(times: Times, modes: Iterable[str]) -> tuple[str, str]:
    """The peer, and its mode, of the shortest median."""
    keys = [key for key in times if key[0] not in OURS and key[1] in set(modes)]
    return min(keys, key=lambda key: statistics.median(times[key]))


def compared(times: Times, task: str) -> dict[str, tuple[str, str, float]]:
    """For each of our modes: the peer it is compared with, the peer's mode, and its time over ours."""
    found = {}
    for ours in OURS:
        for kind, own in (("default", DEFAULT[task]), ("fast", FAST)):
            among = [PEERS_DEFAULT] if kind == "default" else {mode for _, mode in times}
            if (ours, own) in times and any(key[1] in among for key in times if key[0] not in OURS):
                peer = fastest(times, among)
                found[f"{ours}, {kind}"] = (*peer, ratio(times[peer], times[ours, own]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--tasks", nargs="+", choices=("train", "sample"), default=["train", "sample"])
    parser.add_argument("--modes", nargs="+", default=["fp32", "fp32-cl", "bf16", "bf16-cl"])
    parser.add_argument("--systems", nargs="+", help="default: all")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS / "unet_speed.csv")
    parser.add_argument("--compared", type=Path, default=RESULTS / "unet_targets.csv")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")  # of peers under the compiler
    torch._inductor.config.freezing = True  # the best that the compiler does for a peer in sampling
    nets = {name: net for name, net in unets().items() if args.systems is None or name in args.systems}
    for task in args.tasks:
        for batch in args.batches:
            train = task == "train"
            steps = {
                (name, mode): step_of(net, mode, train, batch)
                for name, net in nets.items()
                for mode in args.modes
                if name not in OURS or mode in (DEFAULT[task], FAST)
            }
            times = measure(steps, args.repeats)
            rows: list[dict[str, object]] = []
            for (name, mode), seconds in times.items():
                rows.append(
                    {"task": task, "batch": batch, "mode": mode, "system": name, "parameters": parameters(nets[name])}
                    | {"threads": args.threads, "median_ms": round(1000 * statistics.median(seconds), 1)}
                    | {"min_ms": round(1000 * min(seconds), 1)}
                )
                print(f"{task:7}{batch:3} {mode:15}{name:30}{rows[-1]['median_ms']:9} ms", flush=True)
            merge_rows(args.out, rows, ("task", "batch", "mode", "system"))
            found: list[dict[str, object]] = []
            for ours, (peer, mode, times_as_fast) in compared(times, task).items():
                target = TARGETS[task, ours.split(", ")[-1]]
                found.append(
                    {"task": task, "batch": batch, "ours": ours, "fastest_peer": peer, "its_mode": mode}
                    | {"times_as_fast": round(times_as_fast, 2), "target": target}
                )
                print(f"{task:7}{batch:3} {ours:27}{times_as_fast:5.2f} x {peer} in {mode} (target {target})")
            if found:
                merge_rows(args.compared, found, ("task", "batch", "ours"))


if __name__ == "__main__":
    main()
