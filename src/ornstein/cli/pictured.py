"""Conditions of ``ornstein sample`` that lie in picture files: examples of what to draw, and layouts to fill."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ornstein.cli.editing import open_picture, pictures_at, read
from ornstein.cli.output import say
from ornstein.core.errors import CapabilityError, DataError, UsageError


def told(args: argparse.Namespace, system: Any) -> dict[str, Tensor]:
    """The conditions that ``--examples`` and ``--layout`` make, for a system that takes them.

    Raises:
        UsageError: an option that the system has no use for. DataError: files that are no such pictures.
    """
    found: dict[str, Tensor] = {}
    if args.examples is not None:
        found |= _examples(args, system)
    if args.layout is not None:
        found |= _layout(args, system)
    return found


def _examples(args: argparse.Namespace, system: Any) -> dict[str, Tensor]:
    from ornstein.recipes.few_shot import NAME, FewShot

    if not isinstance(system, FewShot):
        raise UsageError(
            f"--examples is for systems that draw more of what they are shown (fsdm), not for '{system.recipe}'"
        )
    channels, height, width = system.shape
    files = pictures_at(args.examples)
    return {NAME: torch.stack([read(file, channels, (width, height)) for file in files])}


def _layout(args: argparse.Namespace, system: Any) -> dict[str, Tensor]:
    from ornstein.recipes.restoration.semantic_diffusion_model import NAME, SemanticDiffusion, one_hot

    c = system.config
    if not isinstance(c, SemanticDiffusion):
        raise UsageError(
            f"--layout is for systems that fill layouts (semantic-diffusion-model), not for '{system.recipe}'"
        )
    if c.edges:
        raise CapabilityError(
            "this model is told the outlines of instances too, which one picture does not hold: give layout= to sample in Python"
        )
    maps = read_layout(args.layout, (c.size, c.size))
    try:
        return {NAME: one_hot(maps[None, None], c.regions)}
    except DataError as e:
        raise DataError(f"{args.layout}: {e}") from e


def read_layout(path: Path, size: tuple[int, int]) -> Tensor:
    """``[H, W]`` whole numbers: grey values, or indices of a palette; another size is fitted to by nearest pixels."""
    with open_picture(path) as file:
        if file.mode not in ("1", "L", "P", "I;16", "I"):
            raise DataError(
                f"{path} has colours ({file.mode}); a layout has one number for each pixel: save it as grey values or "
                "with a palette"
            )
        if file.size != size:
            say(f"{path}: {file.size[0]} x {file.size[1]} pixels, fitted to {size[0]} x {size[1]} by nearest pixels")
            file = file.resize(size, Image.Resampling.NEAREST)
        return torch.from_numpy(np.array(file).astype(np.int64))
