"""``ornstein edit --task find``: the things in pictures, with boxes, masks and a picture that shows them."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ornstein.cli.editing import pictures_at, read
from ornstein.cli.output import Progress, emit
from ornstein.codecs.base import to_bytes
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.instances import Instances
from ornstein.recipes.samples import image_grid, png_info

if TYPE_CHECKING:
    from ornstein.recipes.perception.diffusion_inst import Detector

COLOURS = ((230, 90, 60), (70, 140, 230), (80, 190, 100), (220, 190, 60), (170, 100, 210))
SHOWN = 256
"""Pixels that the smaller side of an overlay has at least."""
MOST = 255
"""Things that a map of bytes can number."""


def run(args: argparse.Namespace, system: Any) -> int:
    """Find, and write the maps, the overlays and ``found.json``.

    Raises:
        CapabilityError: a system that finds nothing. UsageError: options of other tasks, scores and overlaps beyond [0, 1].
    """
    from ornstein.recipes.perception.diffusion_inst import Detector

    if not isinstance(system, Detector):
        raise CapabilityError(
            f"'{system.recipe}' draws pictures and finds nothing in them; train one that does: ornstein train diffusion-inst"
        )
    if args.n != 1:
        raise UsageError("--task find has one result for each picture: leave -n out")
    files = pictures_at(args.image)
    channels, height, width = system.finder.shape
    pictures = torch.stack([read(file, channels, (width, height)) for file in files])
    begin = time.monotonic()
    found: list[Instances] = []
    with Progress(f"{args.task} with {args.what}") as bar:
        for at in range(0, len(pictures), args.batch):
            part = pictures[at : at + args.batch]
            found += system.find(
                part,
                steps=args.steps,
                proposals=args.proposals,
                score=args.score,
                overlap=args.overlap,
                seed=args.seed + at,
            )
            bar.update(len(found) / len(pictures))
    seconds = time.monotonic() - begin
    about = system.provenance({"edit": "found", "steps": args.steps or system.steps, "score": args.score})
    rows = [
        _write(args, i, file, x, things, system, about)
        for i, (file, x, things) in enumerate(zip(files, pictures, found, strict=True))
    ]
    listed = args.out / "found.json"
    listed.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    overlays = torch.stack([_tensor(overlay(x, things)) for x, things in zip(pictures, found, strict=True)])
    image_grid(overlays, columns=min(len(files), 4)).save(args.out / "grid.png", pnginfo=png_info(about))
    count = sum(map(len, found))
    result = {
        "found": rows,
        "files": [r[k] for r in rows for k in ("masks", "overlay")],
        "grid": str(args.out / "grid.png"),
    }
    emit(
        args,
        {**result, "list": str(listed), "seconds": round(seconds, 3), **about},
        f"{count} things in {len(files)} pictures, {seconds:.1f} s\n{listed}\n{args.out / 'grid.png'}",
    )
    return 0


def _write(
    args: argparse.Namespace, i: int, file: Path, x: Tensor, things: Instances, system: Detector, about: dict[str, Any]
) -> dict[str, Any]:
    """One picture's map and overlay, and what ``found.json`` says of it. Boxes are x, y, w, h in the model's pixels."""
    height, width = x.shape[-2:]
    masks, shown = args.out / f"{i:06d}-masks.png", args.out / f"{i:06d}-found.png"
    info = png_info({**about, "seed": args.seed + i, "source": file.name})
    numbered(things, (height, width)).save(masks, pnginfo=info)
    overlay(x, things).save(shown, pnginfo=info)
    sides = torch.tensor([width, height, width, height])
    corners = (things.boxes.cpu() * sides).tolist()
    return {
        "image": str(file),
        "masks": str(masks),
        "overlay": str(shown),
        "things": [
            {
                "kind": system.config.kinds[int(kind)],
                "score": round(float(score), 4),
                "box": [round(v, 2) for v in (x1, y1, x2 - x1, y2 - y1)],
                "pixels": int(mask.sum()),
            }
            for kind, score, (x1, y1, x2, y2), mask in zip(
                things.kinds, things.scores, corners, things.masks, strict=True
            )
        ],
    }


def numbered(things: Instances, size: tuple[int, int]) -> Image.Image:
    """A map of bytes: 0 where nothing is, k where the k-th thing is; where two lie, that of the higher score."""
    out = torch.zeros(size, dtype=torch.uint8)
    for k in reversed(range(min(len(things), MOST))):
        out[things.masks[k].cpu()] = k + 1
    return Image.fromarray(out.numpy())


def overlay(picture: Tensor, things: Instances) -> Image.Image:
    """The picture ``[C, H, W]`` in [-1, 1] under the things' masks and frames, each in a colour."""
    x = to_bytes(picture[None])[0].float().expand(3, -1, -1).clone()
    for k, mask in enumerate(things.masks.cpu()):
        colour = torch.tensor(COLOURS[k % len(COLOURS)]).float()[:, None, None]
        x = torch.where(mask, 0.35 * x + 0.65 * colour, x)
    height, width = picture.shape[-2:]
    zoom = max(1, SHOWN // min(height, width))
    out = Image.fromarray(x.round().byte().movedim(0, -1).numpy())
    out = out.resize((zoom * width, zoom * height), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(out)
    for k, box in enumerate(things.boxes.cpu().tolist()):
        (x1, x2), (y1, y2) = (
            ((out.width - 1) * box[0], (out.width - 1) * box[2]),
            ((out.height - 1) * box[1], (out.height - 1) * box[3]),
        )
        draw.rectangle([min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)], outline=COLOURS[k % len(COLOURS)], width=2)
    return out


def _tensor(picture: Image.Image) -> Tensor:
    import numpy as np

    return torch.from_numpy(np.array(picture)).movedim(-1, 0)
