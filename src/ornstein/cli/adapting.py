"""Options of ``ornstein sample`` that change the system before it samples: adapters, learned words, pictures to follow."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ornstein.core.errors import UsageError


def add(parser: argparse.ArgumentParser) -> None:
    """Adapters of a checkpoint."""
    group = parser.add_argument_group("adapters")
    group.add_argument(
        "--lora",
        action="append",
        default=[],
        metavar="FILE[:WEIGHT]",
        help="an adapter (LoRA, LoHa, LoKr, DoRA) and how strongly; repeatable",
    )
    group.add_argument(
        "--embedding", action="append", default=[], metavar="FILE[:WORD]", help="a learned word; repeatable"
    )
    group.add_argument(
        "--control",
        nargs=2,
        action="append",
        default=[],
        metavar=("FOLDER", "PICTURE"),
        help="a ControlNet or T2I-Adapter, and the picture to follow; repeatable",
    )
    group.add_argument("--control-scale", type=float, default=1.0, help="how strongly it is followed (default 1)")
    group.add_argument(
        "--ip-adapter", nargs=2, metavar=("FOLDER", "PICTURE"), help="an IP-Adapter, and the picture that is a prompt"
    )
    group.add_argument(
        "--region",
        action="append",
        default=[],
        metavar="MASK=PROMPT",
        help="draw where a picture is white by a prompt of its own, and the rest by --prompt; repeatable",
    )
    group.add_argument(
        "--memory",
        metavar="LIST",
        help="options that save memory, with commas: attention-slicing, vae-slicing, vae-tiling, bf16, fp16, stored-fp8, "
        "stored-bf16, stored-fp16, vae-bf16, offload",
    )
    group.add_argument("--ip-scale", type=float, default=1.0, help="how strongly (default 1)")


def memory(args: argparse.Namespace) -> list[str]:
    """The options that save memory."""
    return [] if args.memory is None else [name.strip() for name in args.memory.split(",")]


def at_load(args: argparse.Namespace) -> bool:
    """Whether the weights can be read in small types from the start: adapters are added to whole ones."""
    return not (args.lora or args.embedding or args.control or args.ip_adapter)


def adapted(system: Any, args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The system with what the options add, and the conditions that go with it."""
    conditions: dict[str, Any] = {}
    if args.lora:
        from ornstein.interop.adapters.lora import parse, with_lora

        system = with_lora(system, *map(parse, args.lora))
    for text in args.embedding:
        from ornstein.interop.adapters.embedding import with_embedding

        path, _, word = (text, "", "") if Path(text).exists() else text.rpartition(":")
        system = with_embedding(system, path or word, token=word if path and word else None)
    for i, (folder, picture) in enumerate(args.control):
        from ornstein.interop.adapters.control import with_control

        name = f"control{i + 1 if i else ''}"
        system = with_control(system, folder, scale=args.control_scale, name=name)
        conditions[name] = opened(picture)
    if args.ip_adapter is not None:
        from ornstein.interop.adapters.image_prompt import with_image_prompt

        system = with_image_prompt(system, args.ip_adapter[0], scale=args.ip_scale)
        conditions["image_prompt"] = opened(args.ip_adapter[1])
    if args.region:
        from ornstein.interop.diffusers.editing.regions import with_regions

        system = with_regions(system, [region(text) for text in args.region])
    if args.memory is not None and not at_load(args):
        from ornstein.interop.diffusers.pipelines.memory import save_memory

        system = save_memory(system, memory(args), args.device)
    if "offload" in memory(args):
        args.device = "cpu"  # where what is not running waits
    return system, conditions


def region(text: str) -> Any:
    """``MASK=PROMPT``.

    Raises:
        UsageError: one of both is missing, or the mask cannot be read.
    """
    import numpy as np
    import torch

    from ornstein.interop.diffusers.editing.regions import Region

    path, _, prompt = text.partition("=")
    if not path or not prompt.strip():
        raise UsageError(f"--region takes MASK=PROMPT, such as left.png='a red fox', got '{text}'")
    grey = np.asarray(opened(path).convert("L"), dtype=np.float32) / 255
    return Region(prompt.strip(), torch.from_numpy(grey))


def opened(path: str) -> Any:
    """A picture.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except OSError as e:
        raise UsageError(f"the picture {path} cannot be read: {e}") from e
