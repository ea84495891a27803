"""``ornstein edit`` on systems that edit in a way of their own: tokens, lines and strokes, purification."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ornstein.cli.output import say
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System

Read = Callable[[Path, int, tuple[int, int]], Tensor]
"""a picture's file, its channels, width and height"""
OPTIONS = {
    "sketch": "a system that draws from lines (diss, generative-colorization)",
    "hint": "generative-colorization and --task colorize",
    "realism": "diss and strokes (--task strokes --image FILE)",
}


def of_tokens(args: argparse.Namespace, system: Any, y: Tensor, known: Tensor) -> Samples:
    """Holes filled by a chain of tokens (ImageBART); pixels that are known come out as they were given.

    ``y [B, C, H, W]`` is 0 in the hole, ``known [H, W]`` is 1 outside it.
    """
    from ornstein.recipes.images.imagebart import inpaint

    for option in ("strength", "guidance", "noise"):
        if getattr(args, option) is not None:
            raise UsageError(f"--{option}: '{system.recipe}' fills holes by its tokens, without it; leave it out")
    if args.method != "auto":
        raise UsageError(f"--method {args.method}: '{system.recipe}' fills holes by its tokens; leave --method out")
    if args.steps not in (None, system.steps):
        raise UsageError(
            f"--steps {args.steps}: the chain of '{system.recipe}' has {system.steps} steps and takes them all"
        )
    many = y.repeat_interleave(args.n, 0)
    made = _in_batches(args, len(many), lambda at, seed: inpaint(system, many[at], known, seed=seed, label=args.label))
    kept = torch.where(known.bool(), many.to(made.tensor), made.tensor)
    return replace(made, tensor=kept, provenance={**made.provenance, "edit": "tokens"})


def is_chain_of_tokens(system: Any) -> bool:
    """Whether :func:`of_tokens` is the way of a system."""
    from ornstein.denoisers.token_by_token import TokenByToken

    return isinstance(system.denoiser, TokenByToken)


def of_lines(args: argparse.Namespace, system: System, given: Tensor | None, read: Read) -> tuple[Samples, Tensor]:
    """Lines coloured by a system that was trained to: those of the pictures ``given``, or of ``--sketch``."""
    from ornstein.recipes.restoration.generative_colorization import NAME, coloured, line_art

    channels, height, width = system.data_shape
    lines = line_art(given) if given is not None else sketched(args, read, (width, height))
    many = lines.repeat_interleave(args.n, 0)
    if args.hint is None:
        words: dict[str, Any] = {} if not system.classes else {"label": -1 if args.label is None else args.label}
        made = system.sample(
            len(many),
            steps=args.steps,
            seed=args.seed,
            guidance=args.guidance,
            batch=args.batch,
            **{**words, NAME: many},
        )
    else:
        for option in ("label", "guidance"):
            if getattr(args, option) is not None:
                raise UsageError(f"--{option} does not go with --hint; leave one of them out")
        colour, signal = hinted(args.hint, channels)
        steps = args.steps or system.steps
        made = _in_batches(
            args,
            len(many),
            lambda at, seed: coloured(system, many[at], colour, signal=signal, steps=steps, seed=seed),
        )
    return replace(made, provenance={**made.provenance, "edit": "coloured"}), lines.expand(-1, channels, -1, -1)


def of_strokes(
    args: argparse.Namespace, system: System, given: Tensor | None, known: Tensor | None, read: Read
) -> tuple[Samples, Tensor]:
    """DiSS: from strokes (``given``, where no mask is), from ``--sketch``, or from both; with a mask only what it hides."""
    from ornstein.recipes.restoration.diss import DiSS, drawn

    assert isinstance(system.config, DiSS)
    if args.label is not None:
        raise UsageError("--label does not go with sketches and strokes here; leave it out")
    c, (channels, height, width) = system.config, system.data_shape
    sketch = None if args.sketch is None else sketched(args, read, (width, height))
    stroke = given if known is None else None
    if sketch is not None and given is not None and len(sketch) != 1 and len(sketch) != len(given):
        raise UsageError(f"{len(sketch)} sketches for {len(given)} pictures; give one, or one for each")
    count = max(len(x) for x in (sketch, given) if x is not None)
    rows = torch.arange(count).repeat_interleave(args.n)
    scale = 1.0 if args.guidance is None else args.guidance

    def part(x: Tensor | None, at: slice) -> Tensor | None:
        return None if x is None else x.expand(count, *x.shape[1:])[rows[at]]

    made = _in_batches(
        args,
        len(rows),
        lambda at, seed: drawn(
            system,
            sketch=part(sketch, at),
            stroke=part(stroke, at),
            sketch_scale=scale * c.sketch_scale,
            stroke_scale=scale * c.stroke_scale,
            realism=args.realism,
            picture=None if known is None else part(given, at),
            keep=known,
            steps=args.steps,
            seed=seed,
        ),
    )
    if known is not None and given is not None:
        shown = given * known
    else:
        shown = stroke if stroke is not None else sketch if sketch is not None else torch.empty(0)
    return replace(made, provenance={**made.provenance, "edit": "drawn"}), shown.expand(count, channels, -1, -1)


def purify(args: argparse.Namespace, system: Any, given: Tensor) -> Samples:
    """Pictures that were attacked, noised and taken back near themselves (GDMP)."""
    from ornstein.recipes.restoration.gdmp import purified

    for option in ("steps", "strength", "guidance", "label", "noise"):
        if getattr(args, option) is not None:
            raise UsageError(f"--{option}: purification goes by the recipe's own level, rounds and steps; leave it out")
    return purified(system, given.repeat_interleave(args.n, 0), seed=args.seed, batch=args.batch)


def sketched(args: argparse.Namespace, read: Read, size: tuple[int, int]) -> Tensor:
    """``[B, 1, H, W]``: lines at 1 and paper at -1, whether the drawing is dark on light or light on dark."""
    from ornstein.cli.editing import pictures_at

    out = []
    for file in pictures_at(args.sketch):
        lines = read(file, 1, size)
        if float(lines.mean()) > 0:
            say(f"{file} is mostly light: what is dark is taken as its lines")
            lines = -lines
        out.append(lines)
    return torch.stack(out)


def hinted(text: str, channels: int) -> tuple[Tensor, float]:
    """``R,G,B`` in 0 .. 255, or with ``:SIGNAL``, as a colour in [-1, 1] and how much of it is left under noise.

    Raises:
        UsageError: no such thing, or another number of channels.
    """
    values, _, signal = text.partition(":")
    try:
        colour = torch.tensor([float(v) for v in values.split(",")])
        left = float(signal) if signal else 0.2
    except ValueError as e:
        raise UsageError(
            f"--hint takes a colour R,G,B in 0 .. 255, such as 200,40,40 or 200,40,40:0.3, got '{text}'"
        ) from e
    if len(colour) != channels or not bool(((colour >= 0) & (colour <= 255)).all()):
        raise UsageError(f"--hint takes {channels} values in 0 .. 255 for this model, got '{values}'")
    if not 0 < left < 1:
        raise UsageError(f"--hint COLOUR:SIGNAL takes a signal above 0 and below 1 (default 0.2), got {left:g}")
    return colour / 127.5 - 1, left


def require_used(args: argparse.Namespace, used: frozenset[str]) -> None:
    """Refuse options of this module that what was asked for does not read."""
    for option, where in OPTIONS.items():
        if getattr(args, option) is not None and option not in used:
            raise UsageError(f"--{option} goes with {where}; leave it out")


def colours_lines(system: Any) -> bool:
    """Whether :func:`of_lines` is the way of a system."""
    return getattr(system, "told", None) is not None and system.told.name == "lines"


def draws_strokes(system: Any) -> bool:
    """Whether :func:`of_strokes` is the way of a system."""
    from ornstein.recipes.restoration.diss import DiSS

    return isinstance(getattr(system, "config", None), DiSS)


def require_pictures(system: Any, what: str) -> None:
    """Refuse systems of anything but pictures.

    Raises:
        CapabilityError: one that finds things, or makes something else.
    """
    from ornstein.recipes.perception.diffusion_inst import Detector

    if isinstance(system, Detector):
        raise CapabilityError(
            f"'{system.recipe}' finds things in pictures: ornstein edit {what} --task find --image FILE"
        )
    shape: tuple[int, ...] = getattr(system, "data_shape", ())
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise CapabilityError(f"'{system.recipe}' makes no pictures, and so there is none to edit")


def _in_batches(args: argparse.Namespace, n: int, draw: Callable[[slice, int], Samples]) -> Samples:
    """``n`` results, drawn ``args.batch`` at a time; result i has the seed ``args.seed + i``."""
    starts = range(0, n, args.batch)
    return Samples.join([draw(slice(at, min(at + args.batch, n)), args.seed + at) for at in starts])
