"""``ornstein edit`` on systems that read prompts: change, fill in, widen or enlarge a picture by what a text says."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.recipes.samples import Samples

if TYPE_CHECKING:
    from ornstein.interop.diffusers.pipelines.system import Pipeline

Read = Callable[[Path, int, tuple[int, int]], Tensor]
"""a picture's file, its channels, width and height"""
SERVED = ("strokes", "inpaint", "uncrop", "superres")


def edit_by_prompt(
    args: argparse.Namespace,
    system: Pipeline,
    files: list[Path],
    read: Read,
    holes: Callable[[int, int], Tensor],
    frame: Callable[[int, int], tuple[int, int, int, int]],
    on_step: Callable[[Any], None],
) -> tuple[Samples, Tensor]:
    """The results, and what was given in the model's size.

    ``holes`` makes the mask of what is known for a width and height, ``frame`` the place of a picture to be widened.

    Raises:
        UsageError: a task that such a system does not do, or no prompt.
    """
    if args.task not in SERVED:
        raise UsageError(
            f"--task {args.task} is not served for a system that reads prompts; served: {', '.join(SERVED)}"
        )
    beside = system.given.beside
    if (args.task == "superres") != (beside == "small"):
        wants = "enlarges pictures: give --task superres" if beside == "small" else "does not enlarge pictures"
        raise UsageError(f"this network {wants}")
    if args.prompt is None:
        raise UsageError("this system draws what a prompt says: give --prompt")
    if args.task not in ("strokes", "inpaint") and args.strength is not None:
        raise UsageError(f"--strength belongs to strokes and inpaint, not to {args.task}")
    channels, height, width = system.data_shape
    words = {"prompt": args.prompt, **({} if args.negative is None else {"negative": args.negative})}
    done, shown = [], []
    for i, file in enumerate(files):
        start: dict[str, Any] = {}
        if args.task == "superres":
            small = (system.shape[2], system.shape[1])
            picture = read(file, channels, small)
            times = width // small[0]
            shown.append(picture.repeat_interleave(times, 1).repeat_interleave(times, 2))
        elif args.task == "uncrop":
            left, top, w, h = frame(width, height)
            picture, mask = torch.zeros(channels, height, width), torch.ones(1, 1, height, width)
            picture[:, top : top + h, left : left + w] = read(file, channels, (w, h))
            mask[..., top : top + h, left : left + w] = 0
            start["mask"] = mask
            shown.append(picture)
        else:
            picture = read(file, channels, (width, height))
            if args.strength is not None:
                start["strength"] = args.strength
            if args.task == "inpaint":
                start["mask"] = 1 - holes(width, height)[None]
                shown.append(picture * (1 - start["mask"][0]))
            else:
                shown.append(picture)
        if args.depth is not None:
            start["depth"] = read(args.depth, 1, (width, height))[None]
        done.append(
            system.sample(
                args.n,
                steps=args.steps,
                seed=args.seed + i * args.n,
                sampler=args.sampler,
                guidance=args.guidance,
                batch=args.batch,
                on_step=on_step,
                image=picture[None],
                **start,
                **words,
            )
        )
    made = Samples.join(done)
    return replace(made, provenance={**made.provenance, "edit": args.task}), torch.stack(shown)
