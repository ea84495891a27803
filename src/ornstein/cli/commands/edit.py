"""``ornstein edit``: restore and change pictures with a model of pictures; fill and continue series with one of series."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ornstein.cli.commands.sample import add_mark
from ornstein.cli.output import Progress, emit, require_folder
from ornstein.core.errors import UsageError, unknown

EXAMPLES = """examples:
  ornstein edit fashion-mnist --task inpaint --image shoe.png --box 8,8,12,12 -n 4 -o filled
  ornstein edit fashion-mnist --task superres --image small/ --scale 4 -o large
  ornstein edit fashion-mnist --task superres --image wide.png --scale 2 --windows -o large
  ornstein edit fashion-mnist --task deblur --image blurred.png --blur 1.5 --noise 0.02
  ornstein edit fashion-mnist --task strokes --image drawing.png --strength 0.6 --label dress
  ornstein edit fashion-mnist --task translate --image shirt.png --from-label shirt --label dress
  ornstein edit stable-diffusion-v1-5/ --task strokes --image sketch.png --strength 0.7 --prompt "a castle at dawn"
  ornstein edit sd-inpainting/ --task inpaint --image room.png --mask hole.png --prompt "a red armchair"
  ornstein edit fashion-mnist --task interpolate --image a.png --to b.png -n 8
  ornstein edit runs/lines --task colorize --sketch drawing.png --hint 200,40,40 -n 4
  ornstein edit runs/diss --task strokes --image strokes.png --sketch lines.png --realism 0.7
  ornstein edit runs/shapes --task find --image street.png -o found
  ornstein edit runs/air --task impute --input gaps.csv -o filled.csv
  ornstein edit runs/air --task forecast --input past.csv -n 200 -o ahead.csv
"""

SERIES_TASKS = ("impute", "forecast")
SKETCHED = ("strokes", "colorize")
"""Tasks that a drawing of lines alone may be given to."""
TASKS = (
    "inpaint", "superres", "colorize", "deblur", "denoise", "uncrop", "compress", "strokes", "interpolate", "translate",
    "purify", "find", *SERIES_TASKS,
)  # fmt: skip


def add(parser: argparse.ArgumentParser) -> None:
    """What with, what to do, on which pictures."""
    parser.add_argument("what", help="a bundled model, a run, checkpoint or diffusers folder: see ornstein list")
    parser.add_argument("--task", required=True, help=", ".join(TASKS))
    parser.add_argument("--image", type=Path, help="a picture, or a folder of them")
    parser.add_argument("--input", type=Path, help="impute, forecast: a .csv table with the model's columns")
    parser.add_argument("--to", type=Path, help="interpolate: the other picture")
    parser.add_argument("--mask", type=Path, help="inpaint: a picture, white where to fill in")
    parser.add_argument(
        "--box", help="x,y,w,h in the model's pixels: inpaint fills it in, uncrop puts the picture there"
    )
    parser.add_argument("--scale", type=int, default=4, help="superres: how much smaller the picture is (default 4)")
    parser.add_argument("--blur", type=float, default=1.0, help="deblur: standard deviation in pixels (default 1)")
    parser.add_argument("--quality", type=int, default=20, help="compress: quality of the JPEG (default 20)")
    parser.add_argument("--noise", type=float, help="standard deviation of the picture's noise, on [-1, 1] (default 0)")
    parser.add_argument(
        "--method", default="auto", help="a restoration method: " + "auto, ddrm, ddnm, repaint, pigdm, ..."
    )
    parser.add_argument("--strength", type=float, help="where to start: near 0 little changes, 1 is from noise")
    parser.add_argument(
        "--sketch", type=Path, help="diss, generative-colorization: a drawing of lines, or a folder of them"
    )
    parser.add_argument("--hint", metavar="R,G,B[:SIGNAL]", help="generative-colorization: a colour to start from")
    parser.add_argument("--realism", type=float, help="diss: 0 keeps to the strokes, 1 to their mean colour alone")
    parser.add_argument("--proposals", type=int, help="find: boxes to start from (default: the recipe's)")
    parser.add_argument("--score", type=float, default=0.3, help="find: leave out what is less sure (default 0.3)")
    parser.add_argument(
        "--overlap", type=float, default=0.5, help="find: of boxes, beyond which one of them is left out (default 0.5)"
    )
    parser.add_argument("--label", help="a class name or number (default: none)")
    parser.add_argument("--from-label", help="translate: what the picture shows")
    parser.add_argument("--prompt", help="what the result is to show, for systems that read text")
    parser.add_argument("--negative", help="what to keep away from, for systems that read text")
    parser.add_argument(
        "--depth", type=Path, help="a picture of depths, for networks that follow one (default: estimated)"
    )
    parser.add_argument("--sampler", help="for systems that read text: ddim, DPM++ 2M Karras, ... (default: its own)")
    parser.add_argument("-n", type=int, help="results for each picture (default 1), draws of each missing value (100)")
    parser.add_argument("--steps", type=int, help="default: the method's")
    parser.add_argument(
        "--guidance", type=float, help="guidance scale (default: the recipe's if a label is given, else 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="result i has seed + i (default 0)")
    parser.add_argument(
        "--batch", type=int, help="how many are drawn at once; changes no result (default 32 pictures, 256 windows)"
    )
    parser.add_argument(
        "--windows",
        action="store_true",
        help="keep the pictures' size: the model covers them in windows that overlap by half and agree",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("out"), help="folder for PNG files and grid.png, or a .csv"
    )
    add_mark(parser)


def run(args: argparse.Namespace) -> int:
    """Edit, and write the results with a grid: what was given, then its results."""
    if args.task not in TASKS:
        raise unknown("task", args.task, TASKS)
    for name in ("n", "steps", "batch"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"{'-n' if name == 'n' else '--' + name} must be at least 1, got {value}")
    if args.strength is not None and not 0 < args.strength <= 1:
        raise UsageError(f"--strength lies in 0 .. 1 (above 0), got {args.strength:g}")
    if args.noise is not None and args.noise < 0:
        raise UsageError(f"--noise is a standard deviation, 0 or more, got {args.noise:g}")
    if args.task in SERIES_TASKS:
        from ornstein.cli.filling import run as fill

        return fill(args)
    if args.image is None and (args.sketch is None or args.windows or args.task not in SKETCHED):
        raise UsageError(f"--task {args.task} needs --image: a picture, or a folder of them")
    args.n, args.batch = args.n or 1, args.batch or 32
    require_folder(args.out)
    from ornstein.cli.device import require_device
    from ornstein.cli.editing import at_size, edit
    from ornstein.cli.sealing import sealer
    from ornstein.interop.load import load

    system = load(args.what).to(require_device(args.device))
    if args.task == "find":
        from ornstein.cli.finding import run as find

        return find(args, system)
    if args.windows:
        system = at_size(args, system)
    sealing = sealer(args.mark, system.data_shape)
    begin = time.monotonic()
    with Progress(f"{args.task} with {args.what}") as bar:
        samples, shown = edit(args, system, _told(bar.update))
    seconds = time.monotonic() - begin
    from ornstein.codecs.base import to_bytes
    from ornstein.recipes.samples import image_grid, png_info

    paths = samples.save(args.out)
    image_grid(to_bytes(shown), columns=_columns(args, len(shown)), zoom=2).save(
        args.out / "grid.png", pnginfo=png_info(samples.provenance | {"seeds": [samples.seeds[0], samples.seeds[-1]]})
    )
    sealing([*paths, args.out / "grid.png"])
    about = {
        "files": [str(p) for p in paths],
        "grid": str(args.out / "grid.png"),
        "seconds": round(seconds, 3),
        **samples.provenance,
        "seeds": samples.seeds,
    }
    how = samples.provenance.get("restoration") or samples.provenance.get("edit")
    emit(
        args,
        about,
        f"{len(samples)} results by {how}, {seconds:.1f} s\n{args.out}: {len(paths)} files\n{args.out / 'grid.png'}",
    )
    return 0


def _columns(args: argparse.Namespace, shown: int) -> int:
    """A row for each picture: what was given, and its results."""
    return shown if args.task == "interpolate" else args.n + 1


def _told(update: Callable[[float, str], None]) -> Callable[[Any], None]:
    def on_step(step: Any) -> None:
        update((step.index + 1) / step.total, f"step {step.index + 1}/{step.total}")

    return on_step
