"""``ornstein likelihood``."""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

from ornstein.cli.output import Progress, emit, require_folder
from ornstein.core.errors import UsageError

EXAMPLES = """examples:
  ornstein likelihood fashion-mnist --data fashion-mnist -n 200
  ornstein likelihood runs/mine --data photos/ -n 200 --method vlb --repeats 20
  ornstein likelihood runs/mine --data photos/ -n 50 --method vlb --steps 1000 --unlabelled -o bits.json
"""


def add(parser: argparse.ArgumentParser) -> None:
    """What, of which data, how."""
    parser.add_argument("what", help="a bundled model, a run or a checkpoint: see ornstein list")
    parser.add_argument("--data", required=True, help="a named set, a folder or an array file")
    parser.add_argument("--split", help="of the data: train or test (default: test of a named set, else train)")
    parser.add_argument("-n", type=int, default=200, help="how many samples, spread over the data (default 200)")
    parser.add_argument(
        "--method",
        default="ode",
        help="ode (probability flow, default), vlb (bound, in continuous time or with --steps of a chain) or "
        "discrete (bound, for categorical processes)",
    )
    parser.add_argument("--steps", type=int, help="of the chain, or equal steps of the flow (default: adaptive)")
    parser.add_argument("--repeats", type=int, default=1, help="draws for each sample (default 1)")
    parser.add_argument("--importance", action="store_true", help="average weights over --repeats: a tighter bound")
    parser.add_argument("--trace", choices=("exact", "hutchinson"), help="of ode (default: exact to 64 coordinates)")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="of a step of the flow (default 1e-4)")
    parser.add_argument("--dequantise", choices=("uniform", "none"), help="noise on bytes (default: uniform for ode)")
    parser.add_argument("--unlabelled", action="store_true", help="do not tell the model the data's labels")
    parser.add_argument("--seed", type=int, default=0, help="sample i draws from seed + i (default 0)")
    parser.add_argument("--batch", type=int, default=32, help="how many at once; changes no result (default 32)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")
    parser.add_argument("-o", "--out", type=Path, help="write every sample's value and the protocol as JSON")


def run(args: argparse.Namespace) -> int:
    """Measure and print bits per dimension with their errors."""
    for name in ("n", "repeats", "batch"):
        if getattr(args, name) < 1:
            raise UsageError(f"{'-n' if name == 'n' else '--' + name} must be at least 1, got {getattr(args, name)}")
    if args.seed < 0:
        raise UsageError(f"--seed must be at least 0, got {args.seed}")
    if args.out is not None:
        require_folder(args.out.parent)
    from ornstein.cli.device import require_device
    from ornstein.data import SOURCES, open_data
    from ornstein.evaluation.sources import spread
    from ornstein.interop.load import load

    system = load(args.what)
    system.to(require_device(args.device))
    channels, size, _ = system.data_shape
    split = args.split or ("test" if args.data in SOURCES else "train")
    data = open_data(args.data, size=size, channels=channels, split=split)
    chosen = data[spread(len(data), args.n).numpy()]
    labels = chosen.cond.get("label")
    told = bool(system.classes) and tuple(system.classes) == tuple(data.classes) and labels is not None
    told = told and not args.unlabelled
    given: dict[str, Any] = {"label": labels.tolist()} if told and labels is not None else {}
    begin = time.monotonic()
    with Progress(f"likelihood of {len(chosen)}") as bar:
        found = system.log_likelihood(
            chosen.x,
            args.method,
            steps=args.steps,
            repeats=args.repeats,
            importance=args.importance,
            trace=args.trace,
            tolerance=args.tolerance,
            dequantise=args.dequantise,
            seed=args.seed,
            batch=args.batch,
            on_batch=bar.update,
            **given,
        )
    about: dict[str, Any] = {
        "what": args.what,
        "data": data.name,
        "split": split,
        "n": len(chosen),
        "method": args.method,
        "steps": args.steps,
        "repeats": args.repeats,
        "importance": args.importance,
        "dequantise": args.dequantise or ("uniform" if args.method == "ode" else "none"),
        "labels": "given" if told else "none",
        "seed": args.seed,
        "weights": system.weights.get("hash"),
    }
    result = {
        "bits_per_dim": found.bits_per_dim,
        "stderr": found.stderr,
        "noise_stderr": found.noise_stderr,
        "bound": found.bound,
        "seconds": round(time.monotonic() - begin, 2),
        "protocol": about,
    }
    if args.out is not None:
        args.out.write_text(json.dumps({**result, "bits": found.bits.tolist()}, indent=1) + "\n", encoding="utf-8")
    protocol = ", ".join(f"{k} {v}" for k, v in about.items() if v is not None and k != "weights")
    kind = "an upper bound of the exact value" if found.bound else "by the exact change of variables"
    text = (
        f"{found.bits_per_dim:.4f} bits per dimension, {kind}\n"
        f"standard error {_figure(found.stderr, '-n 2')} over data and noise, "
        f"{_figure(found.noise_stderr, '--repeats 2')} over the noise alone\n\n"
        f"protocol: {protocol}\n{result['seconds']:.0f} s" + (f"\n{args.out}" if args.out is not None else "")
    )
    emit(args, result, text)
    return 0


def _figure(value: float, remedy: str) -> str:
    return "unknown (" + remedy + " would tell)" if math.isnan(value) else f"{value:.4f}"
