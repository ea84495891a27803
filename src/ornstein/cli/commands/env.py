"""``ornstein env``."""

from __future__ import annotations

import argparse
import os
import platform
from importlib.metadata import version
from typing import Any

from ornstein.cli.output import emit, table

EXAMPLES = "examples:\n  ornstein env\n  ornstein env --json\n"


def add(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(args: argparse.Namespace) -> int:
    """Print what a report of a problem should contain."""
    import torch

    from ornstein import __version__
    from ornstein.data import cache_dir
    from ornstein.recipes.house import bundled_models

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    about: dict[str, Any] = {
        "ornstein": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "safetensors", "pillow")},
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "device": device,
        "cache": str(cache_dir()),
        "models": bundled_models(),
    }
    emit(
        args,
        about,
        table(
            ("WHAT", "VALUE"),
            [(k, (", ".join(v) or "none") if isinstance(v, list) else str(v)) for k, v in about.items()],
        ),
    )
    return 0
