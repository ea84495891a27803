"""``ornstein convert``."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from ornstein.cli.output import emit

EXAMPLES = """examples:
  ornstein convert stable-diffusion-v1-5/ sd15.safetensors
  ornstein convert sd15.safetensors sd15-folder/ --tokenizer clip-tokenizer/
  ornstein convert sd15.safetensors runs/sd15 --to run
  ornstein convert stable-diffusion-v1-5/ small/ --dtype fp16
  ornstein convert flux1-dev.safetensors flux-folder/ --base FLUX.1-schnell/
  ornstein convert runs/mine ddpm-folder/
  ornstein convert old.ckpt new.safetensors --allow-pickle
"""


def add(parser: argparse.ArgumentParser) -> None:
    """From, to, and what may be read."""
    parser.add_argument("source", metavar="SRC", help="a single file, a diffusers folder, a run, or a bundled model")
    parser.add_argument("target", metavar="DST", type=Path, help="NAME.safetensors, or a folder that is not there yet")
    parser.add_argument(
        "--to",
        choices=("single", "folder", "run"),
        help="the form to write (default: single for a name that ends with .safetensors, else folder)",
    )
    parser.add_argument("--dtype", choices=("fp16", "bf16", "fp32"), help="of the numbers (default: as they are)")
    parser.add_argument("--variant", help="which weights of a diffusers folder are read, where it has several")
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        help="read .ckpt and .bin, by an unpickler that makes tensors and containers and nothing else",
    )
    parser.add_argument(
        "--tokenizer", type=Path, help="a folder with CLIP's word pieces, for a single file without them"
    )
    parser.add_argument(
        "--prediction", choices=("epsilon", "v_prediction"), help="what a single file's network predicts"
    )
    parser.add_argument(
        "--base",
        type=Path,
        help="a diffusers folder of the same family, for what a single file of Stable Diffusion 3 or Flux lacks",
    )
    parser.add_argument("--drop-unused", action="store_true", help="leave out tensors that no part has a place for")
    parser.add_argument(
        "--label", help="the class that a pipeline made of a class-conditional run draws (default: none)"
    )


def run(args: argparse.Namespace) -> int:
    """Convert, and say what was written."""
    from ornstein.core.errors import UsageError
    from ornstein.interop import diffusers, load
    from ornstein.interop.files.bundle import INDEX
    from ornstein.interop.files.convert import convert
    from ornstein.interop.files.run import is_pipeline_run
    from ornstein.training.checkpoint import PICKLES

    source = Path(args.source)
    of_ours = not source.is_file() and not (source / INDEX).is_file() and not is_pipeline_run(source)
    if of_ours:
        system = load.load(args.source)
        if args.to not in (None, "folder") or args.target.suffix in {".safetensors", *PICKLES}:
            raise UsageError("a system of ours becomes a diffusers folder: give a folder's name, and leave --to out")
        for name in ("dtype", "variant", "tokenizer", "prediction", "base"):
            if getattr(args, name) is not None:
                raise UsageError(f"--{name} is for pipelines of the diffusers ecosystem; leave it out")
        made = diffusers.save(system, args.target, label=args.label)
    else:
        if args.label is not None:
            raise UsageError("--label is for systems of ours; leave it out")
        made = convert(
            source,
            args.target,
            to=args.to,
            dtype=args.dtype,
            variant=args.variant,
            pickles=args.allow_pickle,
            tokenizer=args.tokenizer,
            prediction=args.prediction,
            base=args.base,
            drop_unused=args.drop_unused,
        )
    files = [made] if made.is_file() else sorted(p for p in made.rglob("*") if p.is_file())
    size = sum(p.stat().st_size for p in files)
    about = {"path": str(made), "files": len(files), "bytes": size}
    emit(
        args, about, f"{made}: {len(files)} files, {size / 1e6:.1f} MB\nnext: ornstein sample {shlex.quote(str(made))}"
    )
    return 0
