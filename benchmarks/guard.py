"""Whether speed got worse: ratios of times within one run, against recorded ones. Three minutes; exit code 1 where one fell.

    python benchmarks/guard.py [--record] [--rounds 7] [--margin 0.2]

Absolute times move with the machine, ratios of times taken in turn hardly do: a peer's time over ours (U-Nets of 1.7 M
parameters, default and fast modes), a scheduler's over our sampler's, a full evaluation's over one that leaves the inner part
out. A ratio that fell by more than the margin (a fifth) is measured once more, and named if it fell again. ``--record`` writes
``benchmarks/results/guard.json``; do so on an idle machine, after a change that moved a ratio on purpose.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from overhead import PAIRS, Trivial, of_ours, of_theirs
from peers import mp_unet, unets
from torch import nn
from unet_speed import measure, ratio, step_of

from ornstein.denoisers.reused import Reused

RECORD = Path(__file__).resolve().parent / "results" / "guard.json"
PEER = "diffusers, one head"
STEPS = ((1, 5), (16, 1))
"""Batch, and steps to a round."""
Pair = tuple[Callable[[], object], Callable[[], object]]


def repeated(step: Callable[[], None], times: int) -> Callable[[], None]:
    """So many steps as one."""

    def run() -> None:
        for _ in range(times):
            step()

    return run


def cached(every: int) -> Callable[[], None]:
    """Six evaluations of a network whose inner part runs at every so many."""
    network = mp_unet(2).eval()
    x, t = torch.randn(16, 3, 32, 32), torch.rand(16)

    @torch.no_grad()
    def run() -> None:
        reused: nn.Module = Reused(network, every)
        for _ in range(6):
            reused(x, t)

    return run


def pairs() -> dict[str, Pair]:
    """What is compared: (what ours should be quicker than, ours)."""
    nets = unets()
    found: dict[str, Pair] = {}
    for task, own, theirs in (
        ("sample", "fp32-cl", "fp32"),
        ("sample", "bf16-cl", "bf16-cl"),
        ("train", "bf16-cl", "fp32"),
    ):
        for batch, times in STEPS:
            for ours in ("ornstein", "ornstein, patch 1"):
                peer, mine = (
                    repeated(step_of(nets[name], mode, task == "train", batch), times)
                    for name, mode in ((PEER, theirs), (ours, own))
                )
                found[f"{task}, batch {batch}, {ours} in {own}: {PEER} in {theirs}"] = (peer, mine)
    x = torch.randn(1, 3, 32, 32)
    for name in ("ddim", "dpmpp_2m", "unipc"):
        scheduler, options = PAIRS[name]
        found[f"{name} without a network: {scheduler}"] = (
            of_theirs(scheduler, options, Trivial(x), x, 100),
            of_ours(name, Trivial(x), x, 100),
        )
    found["six evaluations, inner part at every third: at every"] = (cached(1), cached(3))
    return found


def ratios(names: dict[str, Pair], rounds: int) -> dict[str, float]:
    """The median over the rounds of each pair's ratio; the two of a pair follow one another."""
    steps = {(name, who): run for name, pair in names.items() for who, run in zip(("peer", "ours"), pair, strict=True)}
    with torch.inference_mode(False):
        times = measure(steps, rounds)  # type: ignore[arg-type]
    return {name: round(ratio(times[name, "peer"], times[name, "ours"]), 3) for name in names}


def fallen(found: dict[str, float], recorded: dict[str, float], margin: float) -> list[str]:
    """The names of ratios below the recorded ones by more than the margin."""
    return [name for name, value in found.items() if name in recorded and value < (1 - margin) * recorded[name]]


def main() -> int:
    """Measure; record, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--margin", type=float, default=0.2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--file", type=Path, default=RECORD)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")  # of peers, on options
    every = pairs()
    found = ratios(every, args.rounds)
    if args.record:
        text = {"threads": args.threads, "torch": torch.__version__, "ratios": found}
        args.file.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
        print("\n".join(f"{value:6.2f}  {name}" for name, value in found.items()))
        return 0
    if not args.file.is_file():
        print(f"{args.file} is missing: make one with --record", file=sys.stderr)
        return 2
    recorded: dict[str, float] = json.loads(args.file.read_text(encoding="utf-8"))["ratios"]
    gone = sorted(set(recorded) - set(found))
    worse = fallen(found, recorded, args.margin)
    if worse:
        found |= ratios({name: every[name] for name in worse}, args.rounds)
        worse = fallen(found, recorded, args.margin)
    for name, value in found.items():
        print(f"{value:6.2f}  was {recorded.get(name, float('nan')):6.2f}{'  WORSE' if name in worse else ''}  {name}")
    for name in gone:
        print(f"recorded, but no longer measured: {name}", file=sys.stderr)
    if worse:
        print(f"{len(worse)} of {len(found)} fell by more than {args.margin:.0%}: {'; '.join(worse)}", file=sys.stderr)
    return 1 if worse or gone else 0


if __name__ == "__main__":
    sys.exit(main())
