"""``ornstein env``."""

from __future__ import annotations

import argparse
import os
import platform

from ornstein.cli.output import emit, table

EXAMPLES = "examples:\n  ornstein env\n"


def add(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(args: argparse.Namespace) -> int:
    """Print what a report of a problem should contain."""
    import torch

    from ornstein import __version__
    from ornstein.data import cache_dir
    from ornstein.recipes.house import bundled_models

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    about = {
        "ornstein": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "device": device,
        "cache": str(cache_dir()),
        "models": ", ".join(bundled_models()) or "none",
    }
    emit(args, about, table(("WHAT", "VALUE"), [(k, str(v)) for k, v in about.items()]))
    return 0
