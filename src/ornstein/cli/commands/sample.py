"""``ornstein sample``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from ornstein.cli.output import Progress, emit
from ornstein.core.errors import UsageError

EXAMPLES = """examples:
  ornstein sample fashion-mnist -n 64 --steps 10 -o out
  ornstein sample fashion-mnist -n 8 --label sneaker --guidance 2 -o sneakers
  ornstein sample runs/mine -n 16 --sampler "DPM++ 2M Karras" --steps 20 -o grid.png
"""


def add(parser: argparse.ArgumentParser) -> None:
    """What to sample, how many, how."""
    parser.add_argument("what", help="a bundled model, a run folder or a checkpoint folder")
    add_sampling(parser)
    parser.add_argument("-n", type=int, default=16, help="how many (default 16)")
    parser.add_argument("--label", help="a class name or number (default: the classes in turn)")
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("out"), help="folder for PNG files and grid.png, or one .png for a grid"
    )


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Options shared by everything that samples."""
    parser.add_argument("--steps", type=int, help="steps of the sampler (default: the recipe's)")
    parser.add_argument(
        "--sampler", help="ddim, heun, dpmpp_2m, ..., or another tool's spelling (default: the recipe's)"
    )
    parser.add_argument("--grid", help="uniform, quadratic, log_snr or karras (default: the recipe's)")
    parser.add_argument(
        "--guidance", type=float, help="classifier-free guidance scale, 1 is none (default: the recipe's)"
    )
    parser.add_argument("--seed", type=int, default=0, help="sample i depends on seed + i only (default 0)")
    parser.add_argument(
        "--batch", type=int, default=64, help="how many are drawn at once; changes no result (default 64)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")
    parser.add_argument("--fast", action="store_true", help="bf16 network calls: quicker, not equal to the last digit")


def draw(args: argparse.Namespace, system: Any, n: int, **conditions: Any) -> Any:
    """Sample with a progress bar."""
    if n < 1:
        raise UsageError(f"-n must be at least 1, got {n}")
    if args.steps is not None and args.steps < 1:
        raise UsageError(f"--steps must be at least 1, got {args.steps}")
    if args.seed < 0:
        raise UsageError(f"--seed must be >= 0, got {args.seed}")
    system.to(args.device)
    if args.fast:
        system.fast()
    batches = -(-n // max(args.batch, 1))
    done = 0

    with Progress(f"sampling {n}") as bar:

        def on_step(step: Any) -> None:
            nonlocal done
            done += 1
            bar.update(done / (batches * step.total), f"step {step.index + 1}/{step.total}")

        return system.sample(
            n,
            steps=args.steps,
            seed=args.seed,
            sampler=args.sampler,
            grid=args.grid,
            guidance=args.guidance,
            batch=args.batch,
            on_step=on_step,
            **conditions,
        )


def run(args: argparse.Namespace) -> int:
    """Sample and write the files."""
    from ornstein.recipes.house import load

    system = load(args.what)
    begin = time.monotonic()
    samples = draw(args, system, args.n, **({"label": args.label} if args.label is not None else {}))
    seconds = time.monotonic() - begin
    if args.out.suffix.lower() == ".png":
        paths = [samples.save_grid(args.out, zoom=2)]
    else:
        paths = [*samples.save(args.out), samples.save_grid(args.out / "grid.png", zoom=2)]
    about = {
        "files": [str(p) for p in paths],
        "seconds": round(seconds, 2),
        **samples.provenance,
        "seeds": samples.seeds,
    }
    emit(
        args,
        about,
        f"{len(samples)} samples in {seconds:.1f} s ({len(samples) / seconds:.1f} a second), "
        f"{samples.provenance['sampler']} with {samples.provenance['steps']} steps\n{paths[-1]}",
    )
    return 0
