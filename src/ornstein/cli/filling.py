"""``ornstein edit --task impute`` and ``--task forecast``: tables of series in place of pictures."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from ornstein.cli.output import Progress, emit, require_folder
from ornstein.core.errors import CapabilityError, UsageError

DRAWS = 100

_OF_PICTURES = (
    "to", "mask", "box", "noise", "strength", "label", "from_label", "guidance", "sketch", "hint", "realism", "proposals",
)  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Fill the gaps of a table, or go on after its end, and write the result."""
    if args.input is None:
        raise UsageError(f"--task {args.task} needs --input FILE.csv: the table of series")
    if args.image is not None:
        raise UsageError(f"--task {args.task} is about series; give --input FILE.csv in place of --image")
    for name in _OF_PICTURES:
        if getattr(args, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} is for pictures; leave it out with --task {args.task}")
    out: Path = args.out
    if out.suffix.lower() != ".csv":
        out = out / f"{'filled' if args.task == 'impute' else 'forecast'}.csv"
    require_folder(out.parent)
    from ornstein.cli.device import require_device
    from ornstein.interop.load import load
    from ornstein.recipes.series.system import SeriesSystem

    system: Any = load(args.what)
    if not isinstance(system, SeriesSystem):
        raise CapabilityError(
            f"'{args.what}' is a model of '{system.recipe}', which knows no series; train one: ornstein train csdi --data A.csv"
        )
    system.to(require_device(args.device))
    begin = time.monotonic()
    fill = system.impute if args.task == "impute" else system.forecast
    with Progress(f"{args.task} with {args.what}") as bar:
        filled = fill(
            str(args.input), n=args.n or DRAWS, steps=args.steps, seed=args.seed, batch=args.batch,
            on_step=lambda done: bar.update(done),
        )  # fmt: skip
    seconds = time.monotonic() - begin
    paths = filled.save(out)
    cells = sum(int(m.sum()) for m in filled.missing)
    about = {
        "files": [str(p) for p in paths],
        "filled": cells,
        "draws": args.n or DRAWS,
        "seconds": round(seconds, 3),
        **filled.provenance,
    }
    noun = "missing values" if args.task == "impute" else "values ahead"
    emit(
        args,
        about,
        f"{cells} {noun}, {args.n or DRAWS} draws each, {seconds:.1f} s\n" + "\n".join(map(str, paths)),
    )
    return 0
