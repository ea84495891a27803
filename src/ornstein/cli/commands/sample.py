"""``ornstein sample``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from ornstein.cli import adapting
from ornstein.cli.output import Progress, emit, require_folder
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.importing import without_collection

EXAMPLES = """examples:
  ornstein sample fashion-mnist -n 64 --steps 10 -o out
  ornstein sample fashion-mnist -n 8 --label sneaker --guidance 2 -o sneakers
  ornstein sample runs/mine -n 16 --sampler "DPM++ 2M Karras" --steps 20 -o grid.png
  ornstein sample fashion-mnist -n 8 --guidance 2 --guidance-method apg -o clear
  ornstein sample fashion-mnist -n 64 --sampler ddim --steps 50 --cache 2 --fast -o quick
  ornstein sample runs/large -n 8 --mark -o marked
  torchrun --nproc-per-node 2 -m ornstein sample runs/mine -n 64 -o out
  ornstein sample runs/few-shot --examples sevens/ -n 8 -o more
  ornstein sample runs/layouts --layout map.png -n 4 --guidance 2 -o drawn
  ornstein sample stable-diffusion-v1-5/ --prompt "a cat playing with a ball" --steps 50 -n 4
  ornstein sample stable-diffusion-v1-5/ --prompt "a cat" --lora style.safetensors:0.8
"""


def add(parser: argparse.ArgumentParser) -> None:
    """What to sample, how many, how."""
    parser.add_argument("what", help="a bundled model, a run, checkpoint or diffusers folder: see ornstein list")
    add_sampling(parser)
    parser.add_argument("-n", type=int, default=16, help="how many (default 16)")
    parser.add_argument("--label", help="a class name or number (default: the classes in turn)")
    parser.add_argument("--prompt", help="what to draw, for systems that read text")
    parser.add_argument(
        "--guidance-method",
        help="cfg, rescale, apg, cfgpp, zero, autoguidance, perturbed_attention or skip_layer (default: the recipe's)",
    )
    parser.add_argument("--weak", help="the weaker model of autoguidance: a bundled model, a run or a checkpoint")
    parser.add_argument(
        "--cache",
        type=int,
        help="run the inner part of the network at every so many evaluations only: quicker, approximate (default 1)",
    )
    parser.add_argument("--negative", help="what to keep away from, for systems that read text")
    parser.add_argument(
        "--base", type=Path, help="a diffusers folder of the same family, for what a single file of SD 3 or Flux lacks"
    )
    told = parser.add_argument_group("systems that are told pictures")
    told.add_argument(
        "--examples", type=Path, metavar="FOLDER", help="fsdm: a picture or a folder of them; more of the kind is drawn"
    )
    told.add_argument(
        "--layout",
        type=Path,
        metavar="FILE",
        help="semantic-diffusion-model: a picture whose values number the regions",
    )
    parser.add_argument("--fetch", action="store_true", help="fetch WHAT, an OWNER/NAME on the hub of diffusers")
    adapting.add(parser)
    parser.add_argument(
        "--clip-skip", type=int, help="how many of the text encoder's last layers are left out (default 0)"
    )
    parser.add_argument("--long-prompts", help="what exceeds the text encoder's length: cut (default) or chunk")
    parser.add_argument(
        "--guidance-rescale", type=float, help="share of the contrast added by guidance that is taken back (default 0)"
    )
    parser.add_argument("--size", help="HEIGHTxWIDTH in pixels, for diffusers folders (default: that of training)")
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("out"), help="folder for PNG files and grid.png, or one .png for a grid"
    )
    add_mark(parser)


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Options shared by everything that samples."""
    parser.add_argument("--steps", type=int, help="steps of the sampler (default: the recipe's)")
    parser.add_argument(
        "--sampler", help="ddim, heun, dpmpp_2m, ..., or another tool's spelling (default: the recipe's)"
    )
    parser.add_argument("--grid", help="uniform, quadratic, log_snr or karras (default: the recipe's)")
    parser.add_argument("--guidance", type=float, help="guidance scale, 1 is none (default: the recipe's)")
    parser.add_argument("--seed", type=int, default=0, help="sample i depends on seed + i only (default 0)")
    parser.add_argument(
        "--batch", type=int, default=64, help="how many are drawn at once; changes no result (default 64)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")
    parser.add_argument("--fast", action="store_true", help="bf16 network calls: quicker, not equal to the last digit")


def add_mark(parser: argparse.ArgumentParser) -> None:
    """The invisible mark, for what writes pictures."""
    parser.add_argument(
        "--mark",
        nargs="?",
        const="spread",
        metavar="METHOD",
        help="hide a mark in the pictures that ornstein env --verify finds: spread (default) or rivagan",
    )


def size(text: str) -> tuple[int, int]:
    """``HEIGHTxWIDTH``."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise UsageError(f"--size takes HEIGHTxWIDTH in pixels, such as 512x768, got '{text}'")
    return int(parts[0]), int(parts[1])


LARGEST_SEED = 2**63 - 1


def check(args: argparse.Namespace) -> None:
    """Refuse impossible numbers before anything is loaded."""
    for name in ("n", "steps", "batch"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"{'-n' if name == 'n' else '--' + name} must be at least 1, got {value}")
    if not 0 <= args.seed <= LARGEST_SEED - args.n:
        raise UsageError(f"--seed must lie in 0 .. {LARGEST_SEED - args.n}, got {args.seed}")


def draw(args: argparse.Namespace, system: Any, given: dict[str, Any], ranks: Any) -> tuple[Any, float]:
    """``args.n`` samples, with a progress bar; and how often the network was evaluated for each.

    Under torchrun the processes share them, and all but one get None.
    """
    from ornstein.cli.device import require_device
    from ornstein.recipes.together import gathered, shares

    system.to(require_device(args.device))
    if args.fast:
        system.fast()
    weak = None
    if args.weak is not None:
        from ornstein.interop.load import load

        weak = load(args.weak).to(require_device(args.device))
    mine = shares(args.n, args.batch, ranks)
    done, rows = 0, 0

    def count(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal rows
        rows += len(inputs[0])

    with Progress(f"sampling {args.n}", shown=ranks.main) as bar:

        def on_step(step: Any) -> None:
            nonlocal done
            done += 1
            bar.update(done / (len(mine) * step.total), f"step {step.index + 1}/{step.total}")

        # Counted, not computed: guidance doubles the rows, and Heun's last step takes one evaluation, not two.
        hook = getattr(system.denoiser, "network", system.denoiser).register_forward_hook(count)
        try:
            parts = [
                system.sample(
                    len(part),
                    steps=args.steps,
                    seed=args.seed + part.start,
                    sampler=args.sampler,
                    grid=args.grid,
                    guidance=args.guidance,
                    guidance_method=args.guidance_method,
                    weak=weak,
                    batch=args.batch,
                    on_step=on_step,
                    **({} if args.cache is None else {"cache": args.cache}),
                    **given,
                )
                for part in mine
            ]
        finally:
            hook.remove()
    samples, rows = gathered(parts, rows, ranks)
    return samples, 1.0 if system.one_shot else rows / args.n


def save_series(samples: Any, folder: Path) -> Path:
    """Series ``[N, C, T]`` with their labels as ``series.npz``, which ``open_table`` reads."""
    import json

    import numpy as np

    if folder.suffix.lower() == ".png":
        raise UsageError(f"series are no picture; give a folder in place of {folder}")
    arrays = {
        "x": samples.tensor.numpy(),
        "kind": np.array("series"),
        "about": np.array(json.dumps(samples.provenance)),
    }
    if samples.classes:
        arrays |= {"labels": samples.cond["label"].numpy(), "classes": np.array(samples.classes)}
    path = folder / "series.npz"
    np.savez_compressed(path, **arrays)
    return path


def run(args: argparse.Namespace) -> int:
    """Sample and write the files."""
    check(args)
    if args.cache is not None and args.cache < 1:
        raise UsageError(f"--cache must be at least 1, got {args.cache}")
    with without_collection():
        from ornstein.cli.evaluating import processes
        from ornstein.cli.sealing import sealer
        from ornstein.interop.load import load
        from ornstein.training.distributed import Ranks

    small = adapting.memory(args) if adapting.at_load(args) else []
    wanted = None if args.size is None else size(args.size)
    system = load(args.what, size=wanted, base=args.base, memory=small, device=args.device, fetch=args.fetch)
    if args.guidance_rescale is not None:
        if not 0 <= args.guidance_rescale <= 1:
            raise UsageError(f"--guidance-rescale lies in 0 .. 1, got {args.guidance_rescale:g}")
        system.guidance_rescale = args.guidance_rescale
    system, followed = adapting.adapted(system, args)
    if hasattr(system, "find"):
        raise CapabilityError(
            f"'{system.recipe}' finds things in pictures and draws none: ornstein edit {args.what} --task find --image FILE"
        )
    if args.examples is not None or args.layout is not None:
        from ornstein.cli.pictured import told

        followed |= told(args, system)
    sealing = sealer(args.mark, system.data_shape)
    alone = args.out.suffix.lower() == ".png"
    require_folder(args.out.parent if alone else args.out)
    begin = time.monotonic()
    given = {k: getattr(args, k) for k in ("label", "prompt", "negative", "clip_skip", "long_prompts")}
    with processes():
        ranks = Ranks.here()
        samples, evaluations = draw(args, system, {k: v for k, v in given.items() if v is not None} | followed, ranks)
    if not ranks.main:  # one of those that torchrun started writes and prints
        return 0
    seconds = time.monotonic() - begin
    if samples.tensor.ndim == 3:
        paths = [save_series(samples, args.out)]
    elif alone:
        paths = [samples.save_grid(args.out, zoom=2)]
    else:
        paths = [*samples.save(args.out), samples.save_grid(args.out / "grid.png", zoom=2)]
    sealing(paths)
    about = {
        "files": [str(p) for p in paths],
        "evaluations": evaluations,
        "seconds": round(seconds, 3),
        "images_per_second": round(len(samples) / seconds, 2),
        **samples.provenance,
        "seeds": samples.seeds,
    }
    made = samples.provenance
    files = "" if alone else f"{args.out}: {len(paths) - 1} files\n"
    emit(
        args,
        about,
        f"{len(samples)} samples, {made['sampler']} with {made['steps']} steps on the {made['grid']} grid: "
        f"{evaluations:g} network evaluations each, {seconds:.1f} s, {len(samples) / seconds:.1f} images/s\n"
        f"{files}{paths[-1]}",
    )
    return 0
