"""``ornstein train``."""

from __future__ import annotations

import argparse
import math
import shlex
import signal
from pathlib import Path
from typing import Any

from ornstein.cli import tuning
from ornstein.cli.output import Progress, duration, emit, require_folder, say, write_log
from ornstein.core.errors import CapabilityError, UsageError

EXAMPLES = """examples:
  ornstein train edm --data digits --minutes 2 --out runs/digits
  ornstein train ddpm --data photos/ --size 32 --minutes 5 --out runs/mine
  ornstein train ddpm --data photos/ --minutes 10 --out runs/mine --resume
  ornstein train edm --data digits --set lr=1e-3 --set widths=64,128 --steps 500
  ornstein train edm --data sketches/ --size 28 --from fashion-mnist --lora 8 --steps 500
  ornstein train consistency-models --data fashion-mnist --from fashion-mnist --minutes 60 --out runs/quick
  ornstein train lora --from stable-diffusion-v1-5/ --data photos/ --prompt "a photo of sks dog" --lora 8
  ornstein train edm --data digits --kimg 100 --snapshots 200 --accumulate 2
  ornstein train csdi --data air.csv --time time --columns pm2.5,temp --minutes 10 --out runs/air
  ornstein train csdi --data air.csv --task forecast --horizon 24 --minutes 10 --out runs/ahead
"""


FLAGS = ("strict", "recompute", "compile", "sharded")


def add(parser: argparse.ArgumentParser) -> None:
    """Recipe, data, settings, budget, run folder."""
    parser.add_argument("recipe", help="see ornstein list; or lora, dreambooth, textual-inversion, controlnet")
    parser.add_argument(
        "--data",
        required=True,
        help="a named set, a folder of images (class sub-folders are labels), .npz or .npy; "
        "for recipes of series a .csv",
    )
    parser.add_argument(
        "--size", type=int, help="resize and crop to this many pixels (default: the data's own; 32 for a folder)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="a field of the recipe's config (ornstein show RECIPE lists them); repeatable",
    )
    parser.add_argument(
        "--preset", help="a size that a paper used (ornstein show RECIPE lists them); --set goes before it"
    )
    parser.add_argument(
        "--from",
        dest="base",
        metavar="RUN",
        help="begin with this model's weights; consistency-models take an edm model as teacher",
    )
    parser.add_argument(
        "--lora", type=int, metavar="RANK", help="train low-rank changes of the network of --from alone"
    )
    parser.add_argument("--captions", metavar="ENCODER", help="condition on the data's captions, encoded by minilm")
    add_series(parser)
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, help="stop after so much training in all")
    budget.add_argument("--kimg", type=float, help="stop after so many thousands of images in all")
    budget.add_argument("--steps", type=int, help="stop after so many steps in all (default: the recipe's)")
    parser.add_argument("--out", type=Path, help="run folder (default runs/RECIPE-DATA)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--seed", type=int, default=0, help="of weights, data order and noise (default 0)")
    parser.add_argument(
        "--accumulate",
        type=int,
        default=1,
        metavar="N",
        help="send a batch through the network in N parts, to save memory",
    )
    parser.add_argument(
        "--recompute", action="store_true", help="compute activations twice instead of keeping them, to save memory"
    )
    parser.add_argument("--compile", action="store_true", help="torch.compile the network's blocks")
    parser.add_argument(
        "--sharded",
        action="store_true",
        help="under torchrun: divide weights, averages and optimiser among the processes, for models that do not fit in one",
    )
    parser.add_argument(
        "--snapshots", type=int, metavar="STEPS", help="store averages every so many steps, for ornstein ema afterwards"
    )
    parser.add_argument("--workers", type=int, default=0, help="threads that prepare batches ahead (default 0)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")
    tuning.add(parser)
    parser.add_argument(
        "--strict", action="store_true", help="refuse a folder with unreadable files instead of skipping them"
    )


SERIES = ("time", "columns", "series", "covariates", "label", "task", "horizon")
"""Options of recipes of series: each is the field of that name in the recipe's config."""


def add_series(parser: argparse.ArgumentParser) -> None:
    """What the columns of a table of series are, and what is learned of them."""
    group = parser.add_argument_group("recipes of series")
    group.add_argument(
        "--time", metavar="COLUMN", help="the time stamps, or year,month,day,hour (default: by its name)"
    )
    group.add_argument("--columns", metavar="A,B,..", help="the columns of values (default: all others)")
    group.add_argument("--series", metavar="COLUMN", help="tells series apart, where a file holds several")
    group.add_argument("--covariates", metavar="A,B,..", help="columns that stay the same within a series")
    group.add_argument("--label", metavar="COLUMN", help="the class of a series")
    group.add_argument("--task", help="impute (the default) or forecast")
    group.add_argument("--horizon", type=int, help="forecast: steps ahead")


def of_series(args: argparse.Namespace, chosen: dict[str, Any]) -> dict[str, Any]:
    """The options of series as fields of the config.

    Raises:
        UsageError: one is given twice, or to a recipe of something else.
    """
    from ornstein.recipes import registry

    given = {name: getattr(args, name) for name in SERIES if getattr(args, name) is not None}
    card = registry.card(args.recipe)
    if given and card.area != "series":
        raise UsageError(f"--{min(given)} is for recipes of series; '{args.recipe}' is one of {card.area}")
    for name in given:
        if name in chosen:
            raise UsageError(f"{name} is given twice: by --{name} and by --set")
    return chosen | given


def settings(pairs: list[str]) -> dict[str, str]:
    """``field=value`` pairs as a mapping."""
    out: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--set takes field=value, got '{pair}'")
        if name in out:
            raise UsageError(f"--set {name} is given twice")
        out[name] = value
    return out


def run(args: argparse.Namespace) -> int:
    """Train, showing loss, speed and the time that remains."""
    if args.recipe in tuning.METHODS:
        return tuning.run(args)
    tuning.misplaced(args)
    if args.steps is not None and args.steps < 1:
        raise UsageError(f"--steps must be at least 1, got {args.steps}")
    for name in ("minutes", "kimg"):
        value = getattr(args, name)
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"--{name} must be positive, got {value:g}")
    if args.accumulate < 1:
        raise UsageError(f"--accumulate must be at least 1, got {args.accumulate}")
    if args.snapshots is not None and args.snapshots < 1:
        raise UsageError(f"--snapshots must be at least 1, got {args.snapshots}")
    chosen: dict[str, Any] = dict(settings(args.set))
    from ornstein.cli.device import require_device
    from ornstein.recipes import house, presets, registry
    from ornstein.training.distributed import joined

    of_images = registry.card(args.recipe).area != "series"
    noun = "images" if of_images else "windows"
    chosen = of_series(args, chosen)
    if args.preset is not None:
        chosen = dict(presets.preset(args.recipe, args.preset).settings) | chosen
    require_device(args.device)
    out: Path = args.out or default_out(args.recipe, args.data)
    require_folder(out.parent)
    log = out / "log.txt"
    with joined(args.device) as (ranks, device), Progress(f"training {args.recipe}", log=log, shown=ranks.main) as bar:
        system, result = house.train(
            args.recipe,
            data=args.data,
            out=out,
            size=args.size,
            settings=chosen,
            minutes=args.minutes,
            kimg=args.kimg,
            steps=args.steps,
            accumulate=args.accumulate,
            recompute=args.recompute,
            compile=args.compile,
            sharded=args.sharded,
            snapshots=args.snapshots,
            workers=args.workers,
            seed=args.seed,
            captions=args.captions,
            base=args.base,
            lora=args.lora,
            resume=args.resume,
            strict=args.strict,
            device=device,
            on_step=lambda p: bar.update(p.fraction, f"loss {p.loss:.3f}, {p.images_per_second:.0f} {noun}/s"),
            on_save=(lambda system, step: strip(system, out / "samples" / f"step-{step:07d}.png", ranks.main))
            if of_images
            else None,
        )
    stopped = result.reason not in ("steps", "minutes", "kimg")
    code = 128 + signal.Signals[result.reason].value if stopped else 0
    if not ranks.main:  # one of those that torchrun started speaks for all
        return code
    for note in result.notes:
        say(f"warning: {note}")
    about = {
        "run": str(out),
        "recipe": args.recipe,
        "steps": result.step,
        "images": result.seen,
        "seconds": round(result.seconds, 1),
        "loss": result.loss,
        "stopped_by": result.reason,
        "parameters": system.parameters(),
        **({"resume": resume_command(args, out)} if stopped else {}),
    }
    head = f"{result.step} steps, {result.seen} {noun}, {duration(result.seconds)} of training"
    if math.isnan(result.loss):
        head = f"nothing left to do: the run has had {head}; for more, raise --steps, --minutes or --kimg"
    else:
        head += f", last loss {result.loss:.4f}"
    write_log(log, f"{head}; stopped by {result.reason}")
    if stopped:
        say(f"stopped ({result.reason}) and saved; go on with:\n  {about['resume']}")
    further = f"ornstein sample {shlex.quote(str(out))} -n 64"
    if not of_images and hasattr(system.config, "horizon"):
        further = f"ornstein edit {shlex.quote(str(out))} --task {args.task or 'impute'} --input FILE.csv -o filled.csv"
    if finds(system):
        further = f"ornstein edit {shlex.quote(str(out))} --task find --image FILE -o found"
    if system.unfinished:
        say(f"warning: {system.unfinished}")
        further = "the same command with --resume and more --minutes or --steps"
    emit(args, about, f"{head}\nrun: {out}\nnext: {further}")
    return code


def default_out(recipe: str, data: str) -> Path:
    """``runs/RECIPE-DATA``."""
    path = Path(data)
    name = path.resolve().name if path.exists() else path.name
    return Path("runs") / f"{recipe}-{name.removesuffix('.npz').removesuffix('.npy')}"


def resume_command(args: argparse.Namespace, out: Path) -> str:
    """The command that goes on with a run where it was stopped, to the same end."""
    words = ["ornstein", "train", args.recipe, "--data", args.data, "--out", str(out), "--resume"]
    for name in ("size", "minutes", "kimg", "steps", "snapshots", "lora", "horizon"):
        if (value := getattr(args, name)) is not None:
            words += [f"--{name}", str(value) if isinstance(value, int) else f"{value:g}"]
    if args.base is not None:
        words += ["--from", args.base]
    for name in ("preset", "captions", *(n for n in SERIES if n != "horizon")):
        if getattr(args, name) is not None:
            words += [f"--{name}", getattr(args, name)]
    for pair in args.set:
        words += ["--set", pair]
    for name, default in (("seed", 0), ("device", "cpu"), ("accumulate", 1), ("workers", 0)):
        if getattr(args, name) != default:
            words += [f"--{name}", str(getattr(args, name))]
    return shlex.join(words + [f"--{name}" for name in FLAGS if getattr(args, name)])


def finds(system: Any) -> bool:
    """Whether a system finds things in pictures and draws none."""
    return hasattr(system, "find")


def strip(system: Any, path: Path, write: bool = True) -> None:
    """A row of samples with fixed seeds and few steps: how the model grows. A full disk costs the strip, not the run.

    Where the model is divided among processes all draw it, and one has ``write``.
    """
    if finds(system):
        return
    n = max(len(system.classes), 8) if len(system.classes) <= 16 else 16
    # Guidance of a recipe's own may need a stage that is still to come, so that the general method is named.
    common: dict[str, Any] = {"seed": 0, "guidance_method": system.guidance_method}
    try:
        row = system.sample(n, steps=10, sampler="dpmpp_2m", **common)
    except CapabilityError:  # finite sets, velocities: the recipe's own, whose chain may be shorter
        row = system.sample(n, steps=min(10, system.steps), **common)
    if not write:
        return
    try:
        row.save_grid(path, columns=n, zoom=2)
    except OSError as e:
        say(f"warning: {path} could not be written: {e.strerror}")
