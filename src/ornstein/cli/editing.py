"""Pictures and options of the command line, made into measurements and guides."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ornstein.cli.evaluating import GRID
from ornstein.cli.output import say
from ornstein.cli.own_way import (
    colours_lines,
    draws_strokes,
    is_chain_of_tokens,
    of_lines,
    of_strokes,
    of_tokens,
    purify,
    require_pictures,
    require_used,
)
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.data.decode import Unreadable, decode, is_grey, size_of
from ornstein.data.folder import list_folder
from ornstein.data.resize import fit
from ornstein.measurements import JPEG, Direct, Grey, Mask, Measurement, bicubic, gaussian_blur
from ornstein.recipes.edit import interpolate, sdedit, translate
from ornstein.recipes.restore import TRAINED, restore
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.recipes.translation import Translation
from ornstein.recipes.windows import widened


def edit(args: argparse.Namespace, system: Any, on_step: Callable[[Any], None]) -> tuple[Samples, Tensor]:
    """The results, and the rows of the picture that shows what was given beside them."""
    files = [] if args.image is None else pictures_at(args.image)
    if getattr(system, "prompts", None) is not None:
        from ornstein.cli.worded import edit_by_prompt

        require_used(args, frozenset())
        made, given = edit_by_prompt(args, system, files, read, partial(hidden, args), partial(placed, args), on_step)
        return made, beside(given, made.tensor)
    for option in ("prompt", "negative", "depth", "sampler"):
        if getattr(args, option) is not None:
            raise UsageError(f"--{option} goes with a system that reads prompts, which this one does not")
    if isinstance(system, Translation):
        require_used(args, frozenset())
        return between_domains(args, system, files, on_step)
    require_pictures(system, args.what)
    found = in_its_own_way(args, system, files)
    if found is not None:
        return found[0], beside(found[1], found[0].tensor)
    require_used(args, frozenset())
    if not files:
        raise UsageError(f"--task {args.task} needs --image: a picture, or a folder of them")
    channels, height, width = system.data_shape
    label = {} if args.label is None else {"label": args.label}
    common = {"seed": args.seed, "guidance": args.guidance, "batch": args.batch, "on_step": on_step}
    if args.task in ("strokes", "interpolate", "translate", "purify"):
        given = torch.stack([read(f, channels, (width, height)) for f in files])
        steps = args.steps or 50
        if args.task == "purify":
            made = purify(args, system, given)
        elif args.task == "strokes":
            made = sdedit(system, given, strength=args.strength, n=args.n, steps=args.steps, **common, **label)
        elif args.task == "translate":
            if args.label is None:
                raise UsageError("--task translate needs --label: what the picture is to become")
            made = translate(system, given, _from(args), args.label, steps=steps, **common)
        else:
            if args.to is None or len(files) != 1:
                raise UsageError("--task interpolate goes from one --image to one picture given by --to")
            ends = torch.cat([given, read(args.to, channels, (width, height))[None]])
            made = interpolate(system, ends, n=max(args.n, 2), steps=steps, **common, **label)
            return made, torch.cat([ends[:1], made.tensor, ends[1:]])
        return made, beside(given, made.tensor)
    measurement, shown = measured(args, files, system.data_shape)
    made = restore(
        system,
        measurement,
        n=args.n,
        method=args.method,
        steps=args.steps,
        strength=args.strength,
        **common,
        **label,
    )
    return made, beside(shown, made.tensor)


def in_its_own_way(args: argparse.Namespace, system: System, files: list[Path]) -> tuple[Samples, Tensor] | None:
    """The results of a system that does this task in a way of its own, and what was given; None where there is no such way."""
    channels, height, width = system.data_shape

    def given() -> Tensor | None:
        return torch.stack([read(f, channels, (width, height)) for f in files]) if files else None

    if is_chain_of_tokens(system):
        if args.task not in ("inpaint", "uncrop"):
            raise CapabilityError(
                f"'{system.recipe}' draws tokens, and fills holes with them: inpaint and uncrop, not {args.task}"
            )
        require_used(args, frozenset())
        measurement, shown = measured(args, files, system.data_shape)
        assert isinstance(measurement.operator, Mask)
        return of_tokens(args, system, measurement.y, measurement.operator.known[0]), shown
    if colours_lines(system) and args.task == "colorize" and args.method in ("auto", TRAINED):
        require_used(args, frozenset({"sketch", "hint"}))
        if (args.sketch is None) == (not files):
            raise UsageError("give --image (its lines are taken) or --sketch (a drawing of lines), and not both")
        return of_lines(args, system, given(), read)
    if draws_strokes(system) and args.method == "auto":
        if args.task == "strokes" and args.strength is None:
            require_used(args, frozenset({"sketch", "realism"} if files else {"sketch"}))
            if not files and args.sketch is None:
                raise UsageError("--task strokes needs --image (the strokes), --sketch (lines), or both")
            return of_strokes(args, system, given(), None, read)
        if args.task == "inpaint" and args.sketch is not None and files:
            require_used(args, frozenset({"sketch"}))
            return of_strokes(args, system, given(), hidden(args, width, height)[None], read)
    return None


def between_domains(
    args: argparse.Namespace, system: Translation, files: list[Path], on_step: Callable[[Any], None]
) -> tuple[Samples, Tensor]:
    """Pictures of one domain as pictures of the other, by a system that was trained to translate."""
    if args.task != "translate" or args.label is None:
        raise UsageError(
            f"'{system.recipe}' translates between {' and '.join(system.domains)}: give --task translate --label, the domain to "
            "translate to"
        )
    channels, height, width = system.shape
    given = torch.stack([read(f, channels // 2, (width, height)) for f in files])
    made = system.translated(given, args.label, steps=args.steps, seed=args.seed, batch=args.batch, on_step=on_step)
    return made, beside(given, made.tensor)


def _from(args: argparse.Namespace) -> str | int:
    """What the pictures show; without a word of it, nothing in particular."""
    return -1 if args.from_label is None else args.from_label


def at_size(args: argparse.Namespace, system: System) -> System:
    """The system at the size of the given pictures (of what they are to become, where they are to grow)."""
    sizes = {}
    for file in pictures_at(args.image):
        try:
            sizes[file] = size_of(file)
        except Unreadable as e:
            raise DataError(f"{file}: {e}") from e
    (first, (high, wide)), *others = sizes.items()
    for file, size in others:
        if size != (high, wide):
            raise DataError(
                f"--windows keeps the pictures' size, and {file} has {size[1]} x {size[0]} pixels where {first} has {wide} x "
                f"{high}; edit them one by one"
            )
    if args.task == "uncrop":
        raise UsageError("--windows keeps the picture's size, and uncrop puts it into a larger one: leave it out")
    grown = args.scale if args.task == "superres" else 1
    return widened(system, high * grown, wide * grown)


def beside(given: Tensor, made: Tensor) -> Tensor:
    """Rows of one given picture and its results."""
    results = made.unflatten(0, (len(given), -1))
    return torch.cat([given[:, None], results], 1).flatten(0, 1)


def measured(args: argparse.Namespace, files: list[Path], shape: tuple[int, ...]) -> tuple[Measurement, Tensor]:
    """The measurement that the task makes of the files, and pictures of it in the model's size."""
    channels, height, width = shape
    noise = args.noise or 0.0
    if args.task == "superres":
        operator = bicubic(shape, args.scale)
        small = (width // args.scale, height // args.scale)
        y = torch.stack([read(f, channels, small) for f in files])
        shown = y.repeat_interleave(args.scale, 2).repeat_interleave(args.scale, 3)
        return Measurement(y, operator, noise), shown
    if args.task == "uncrop":
        left, top, w, h = placed(args, width, height)
        known = torch.zeros(1, height, width)
        known[:, top : top + h, left : left + w] = 1
        canvas = torch.zeros(len(files), channels, height, width)
        for i, f in enumerate(files):
            canvas[i, :, top : top + h, left : left + w] = read(f, channels, (w, h))
        return Measurement(canvas, Mask(known), noise), canvas
    given = torch.stack([read(f, channels, (width, height)) for f in files])
    if args.task == "inpaint":
        known = hidden(args, width, height)
        return Measurement(given * known, Mask(known), noise), given * known
    if args.task == "colorize":
        grey = Grey()
        if channels != 3:
            raise UsageError(f"--task colorize needs a model of colours; this one makes {channels} channel(s)")
        y = grey(given)
        return Measurement(y, grey, noise), y.expand_as(given)
    if args.task == "deblur":
        return Measurement(given, gaussian_blur(shape, args.blur), noise or 0.01), given
    if args.task == "denoise":
        if not noise:
            raise UsageError("--task denoise needs --noise: the standard deviation of the noise, on [-1, 1]")
        return Measurement(given, Direct(), noise), given
    return Measurement(given, JPEG(args.quality), noise or 0.01), given


def hidden(args: argparse.Namespace, width: int, height: int) -> Tensor:
    """``[1, H, W]``: 1 where the picture is known. Of a mask's picture the lighter half is filled in."""
    if (args.mask is None) == (args.box is None):
        raise UsageError("--task inpaint needs either --mask FILE (white where to fill in) or --box x,y,w,h")
    if args.box is not None:
        x, y, w, h = box(args.box, width, height)
        known = torch.ones(1, height, width)
        known[:, y : y + h, x : x + w] = 0
        return known
    with open_picture(args.mask) as file:
        if file.size != (width, height):
            raise DataError(
                f"the mask {args.mask} has {file.size[0]} x {file.size[1]} pixels, and the model {width} x {height}"
            )
        grey = torch.from_numpy(np.array(file.convert("L")))
    between = float(((grey > 0) & (grey < 255)).float().mean())
    if between:
        say(
            f"warning: {between:.1%} of {args.mask} is neither black nor white; 128 and above is read as white, to fill in"
        )
    return (grey < 128).float()[None]


def placed(args: argparse.Namespace, width: int, height: int) -> tuple[int, int, int, int]:
    """Where in the model's picture the given one lies when it is widened: in the middle, half as large, unless told."""
    return box(args.box or f"{width // 4},{height // 4},{width // 2},{height // 2}", width, height)


def box(text: str, width: int, height: int) -> tuple[int, int, int, int]:
    """``x,y,w,h`` within the picture."""
    try:
        x, y, w, h = (int(part) for part in text.split(","))
    except ValueError as e:
        raise UsageError(f"--box takes x,y,w,h in pixels, got '{text}'") from e
    if w < 1 or h < 1 or x < 0 or y < 0 or x + w > width or y + h > height:
        raise UsageError(f"--box {text} does not lie within {width} x {height} pixels")
    return x, y, w, h


def pictures_at(path: Path) -> list[Path]:
    """The file, or the pictures of the folder in order; the grid that lies beside results is not one."""
    return list_folder(path, frozenset({GRID})).files if path.is_dir() else [path]


def open_picture(path: Path) -> Image.Image:
    """A picture as it lies in the file, or an error that names the file."""
    if not path.is_file():
        raise DataError(f"no picture at {path}")
    try:
        return Image.open(path)
    except OSError as e:
        raise DataError(f"{path} is not a picture that is read here: {e}") from e


def read(path: Path, channels: int, size: tuple[int, int]) -> Tensor:
    """``[C, H, W]`` in [-1, 1], decoded as data are (any mode, upright, on white), cropped in the middle and resized to fit."""
    with open_picture(path) as file:
        if file.has_transparency_data:
            say(f"warning: {path} is transparent in places; it is taken on white")
    try:
        upright = decode(path, max(size))
    except Unreadable as e:
        raise DataError(f"{path}: {e}") from e
    if upright.size != size:
        high, wide = size_of(path)
        say(f"{path}: {wide} x {high} pixels, fitted to {size[0]} x {size[1]}")
        upright = fit(upright, size[1], size[0])
    flat = upright.convert("L") if channels == 1 and not is_grey(upright) else upright
    array = torch.from_numpy(np.array(flat)).float().clamp(0, 255) / 127.5 - 1
    return array.expand(channels, -1, -1) if array.ndim == 2 else array.permute(2, 0, 1)
