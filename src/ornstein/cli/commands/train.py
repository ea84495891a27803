"""``ornstein train``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ornstein.cli.output import Progress, emit, say
from ornstein.core.errors import UsageError

EXAMPLES = """examples:
  ornstein train edm --data digits --minutes 2 --out runs/digits
  ornstein train ddpm --data photos/ --size 32 --minutes 5 --out runs/mine
  ornstein train ddpm --data photos/ --size 32 --minutes 10 --out runs/mine --resume
  ornstein train edm --data digits --set lr=1e-3 --set widths=32,64 --steps 500
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Recipe, data, settings, budget, run folder."""
    parser.add_argument("recipe", help="see ornstein list")
    parser.add_argument(
        "--data", required=True, help="a named set, a folder of images (class sub-folders are labels), .npz or .npy"
    )
    parser.add_argument(
        "--size", type=int, help="resize and crop to this many pixels (default: the data's own; 32 for a folder)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="a field of the recipe's config; repeatable"
    )
    parser.add_argument("--minutes", type=float, help="stop after so much training in all")
    parser.add_argument("--steps", type=int, help="stop after so many steps in all")
    parser.add_argument("--out", type=Path, help="run folder (default runs/RECIPE-DATA)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--seed", type=int, default=0, help="of weights, data order and noise (default 0)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")
    parser.add_argument(
        "--strict", action="store_true", help="refuse a folder with unreadable files instead of skipping them"
    )


def settings(pairs: list[str]) -> dict[str, str]:
    """``field=value`` pairs as a mapping."""
    out = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--set takes field=value, got '{pair}'")
        out[name] = value
    return out


def run(args: argparse.Namespace) -> int:
    """Train, showing loss, speed and the time that remains."""
    if args.steps is not None and args.steps < 1:
        raise UsageError(f"--steps must be at least 1, got {args.steps}")
    if args.minutes is not None and not args.minutes > 0:
        raise UsageError(f"--minutes must be positive, got {args.minutes:g}")
    chosen = settings(args.set)
    from ornstein.recipes import house

    out = args.out or Path("runs") / f"{args.recipe}-{Path(args.data).stem}"
    with Progress(f"training {args.recipe}") as bar:
        system, result = house.train(
            args.recipe,
            data=args.data,
            out=out,
            size=args.size,
            settings=chosen,
            minutes=args.minutes,
            steps=args.steps,
            seed=args.seed,
            resume=args.resume,
            strict=args.strict,
            device=args.device,
            on_step=lambda p: bar.update(p.fraction, f"loss {p.loss:.3f}, {p.images_per_second:.0f} images/s"),
            on_save=lambda system, step: strip(system, out / "samples" / f"step-{step:07d}.png"),
        )
    for note in result.notes:
        say(f"skipped a damaged checkpoint: {note}")
    if result.reason not in ("steps", "minutes"):
        again = f"ornstein train {args.recipe} --data {args.data} --out {out} --resume"
        say(f"stopped by {result.reason} and saved; go on with: {again}")
    about = {
        "run": str(out),
        "recipe": args.recipe,
        "steps": result.step,
        "images": result.seen,
        "seconds": round(result.seconds, 1),
        "loss": result.loss,
        "stopped_by": result.reason,
        "parameters": system.parameters(),
    }
    text = (
        f"{result.step} steps, {result.seen} images, {result.seconds:.0f} s, last loss {result.loss:.4f}\n"
        f"run: {out}\nnext: ornstein sample {out} -n 64 -o {out}/out"
    )
    emit(args, about, text)
    return 0


def strip(system: Any, path: Path) -> None:
    """A row of samples with fixed seeds and few steps: how the model grows."""
    n = max(len(system.classes), 8) if len(system.classes) <= 16 else 16
    system.sample(n, seed=0, steps=10, sampler="dpmpp_2m").save_grid(path, columns=n, zoom=2)
