"""``ornstein train lora | dreambooth | textual-inversion | controlnet``: training on a checkpoint."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from ornstein.cli.output import Progress, emit, require_folder
from ornstein.core.errors import UsageError

METHODS = ("lora", "dreambooth", "textual-inversion", "controlnet")
OPTIONS: dict[str, tuple[str, ...]] = {
    "lora": ("prompt", "lora", "dialect"),
    "dreambooth": ("prompt", "lora", "dialect", "class_prompt", "class_images", "whole"),
    "textual-inversion": ("token", "start", "style", "vectors"),
    "controlnet": ("prompt", "conditions"),
}
"""What each method may be told"""
NEEDS: dict[str, tuple[str, ...]] = {
    "lora": ("prompt",),
    "dreambooth": ("prompt",),
    "textual-inversion": ("token", "start"),
    "controlnet": (),
}
RECIPES_OWN = ("preset", "captions", "kimg", "snapshots", "size")


def add(parser: argparse.ArgumentParser) -> None:
    """The options of training on a checkpoint."""
    group = parser.add_argument_group(f"on a checkpoint (--from FOLDER, and for RECIPE one of {', '.join(METHODS)})")
    group.add_argument("--prompt", help="what the pictures show")
    group.add_argument("--class-prompt", help="dreambooth: what the subject is one of; its class is kept")
    group.add_argument(
        "--class-images", type=int, help="dreambooth: how many pictures of the class are drawn (default 50)"
    )
    group.add_argument("--whole", action="store_true", help="dreambooth: train all weights, and write a whole folder")
    group.add_argument("--token", help="textual-inversion: the new word, such as '<thing>'")
    group.add_argument("--start", help="textual-inversion: a known word of the kind")
    group.add_argument("--vectors", type=int, help="textual-inversion: how many tokens the word becomes (default 1)")
    group.add_argument(
        "--style", action="store_true", help="textual-inversion: the pictures share a style, not a thing"
    )
    group.add_argument("--conditions", type=Path, help="controlnet: the pictures to follow (default: edges)")
    group.add_argument(
        "--dialect", choices=("diffusers", "kohya", "peft"), help="of the adapter's file (default diffusers)"
    )


def misplaced(args: argparse.Namespace) -> None:
    """Refuse options of a checkpoint where a recipe is trained."""
    for name in sorted({n for names in OPTIONS.values() for n in names} - {"lora"}):
        if getattr(args, name):
            raise UsageError(f"--{name.replace('_', '-')} is for training on a checkpoint ({', '.join(METHODS)})")


def run(args: argparse.Namespace) -> int:
    """Train on a checkpoint."""
    method: str = args.recipe
    if args.base is None:
        raise UsageError(f"'{method}' trains on a checkpoint: say which (--from FOLDER)")
    for name in NEEDS[method]:
        if not getattr(args, name):
            raise UsageError(f"'{method}' needs --{name}")
    for name in sorted({n for names in OPTIONS.values() for n in names}.difference(OPTIONS[method]) | set(RECIPES_OWN)):
        if getattr(args, name):
            raise UsageError(f"'{method}' takes no --{name.replace('_', '-')}; leave it out")
    if args.whole and args.lora is not None:
        raise UsageError("--whole trains all weights and --lora a part: give one of them")
    from ornstein.cli.commands.train import settings as pairs
    from ornstein.cli.device import require_device
    from ornstein.interop import tuning
    from ornstein.interop.diffusers import Pipeline
    from ornstein.interop.files import read
    from ornstein.interop.load import load

    base = load(args.base)
    if not isinstance(base, Pipeline):
        raise UsageError(
            f"{args.base} is no checkpoint of the diffusers ecosystem; ornstein train {base.recipe} --from it"
        )
    out: Path = args.out or Path("runs") / f"{method}-{Path(args.data).name}"
    require_folder(out.parent)
    chosen = {k: _number(k, v) for k, v in pairs(args.set).items()}
    defaults = {"textual-inversion": 5e-3, "controlnet": 1e-5, "dreambooth": 5e-6 if args.whole else 1e-4}
    given: dict[str, Any] = {"lr": defaults.get(method, 1e-4), "seed": args.seed, "minutes": args.minutes, **chosen}
    if args.steps is not None:
        given["steps"] = args.steps
    with Progress(f"training {method}", log=out / "log.txt") as bar:
        options = tuning.Settings(
            device=str(require_device(args.device)),
            on_step=lambda p: bar.update(p.fraction, f"loss {p.loss:.3f}"),
            **given,
        )
        if method == "lora":
            done = tuning.train_lora(
                base, args.data, out, prompt=args.prompt, rank=args.lora or 4, dialect=args.dialect or "diffusers",
                settings=options,
            )  # fmt: skip
        elif method == "dreambooth":
            done = tuning.train_dreambooth(
                base, args.data, out, prompt=args.prompt, class_prompt=args.class_prompt,
                class_images=args.class_images or 50, rank=None if args.whole else args.lora or 4,
                source=read(args.base) if args.whole else None, dialect=args.dialect or "diffusers", settings=options,
            )  # fmt: skip
        elif method == "textual-inversion":
            done = tuning.train_textual_inversion(
                base, args.data, out, token=args.token, start=args.start, vectors=args.vectors or 1, style=args.style,
                settings=options,
            )  # fmt: skip
        else:
            done = tuning.train_controlnet(
                base, args.data, out, prompt=args.prompt or "", conditions=args.conditions, settings=options
            )
    about = {"run": str(out), "path": str(done.path), "method": method, "steps": done.steps, "loss": done.loss}
    emit(args, about, f"{done.steps} steps, last loss {done.loss:.4f}\n{done.path}\nnext: {_next(args, done.path)}")
    return 0


def _number(name: str, value: str) -> Any:
    known = {"batch": int, "lr": float, "steps": int}
    if name not in known:
        raise UsageError(f"on a checkpoint --set takes {', '.join(known)}, not '{name}'")
    try:
        return known[name](value)
    except ValueError as e:
        raise UsageError(f"{name} must be a number, got '{value}'") from e


def _next(args: argparse.Namespace, path: Path) -> str:
    base, made = shlex.quote(str(args.base)), shlex.quote(str(path))
    if args.recipe == "textual-inversion":
        return f"ornstein sample {base} --embedding {made} --prompt {shlex.quote(f'a photo of {args.token}')}"
    if args.recipe == "controlnet":
        return f"ornstein sample {base} --control {made} PICTURE --prompt ..."
    prompt = shlex.quote(args.prompt)
    what = made if args.whole else f"{base} --lora {made}"
    return f"ornstein sample {what} --prompt {prompt}"
