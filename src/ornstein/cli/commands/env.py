"""``ornstein env``."""

from __future__ import annotations

import argparse
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ornstein.cli.output import emit, table

EXAMPLES = """examples:
  ornstein env
  ornstein env --verify picture.png
  ornstein env --verify out/*.png --json
  ornstein env --fetch open-nsfw
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Of this machine, or of pictures."""
    parser.add_argument(
        "--verify",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="where pictures come from: their settings, their invisible marks, their signed manifest",
    )
    parser.add_argument(
        "--key", help="look for marks made with this key (default: $ORNSTEIN_MARK_KEY and the public key)"
    )
    parser.add_argument(
        "--fetch", metavar="NAME", help="bring the weights of a mark or a content filter here: rivagan or open-nsfw"
    )


def run(args: argparse.Namespace) -> int:
    """Print what a report of a problem should contain; or read pictures, or fetch weights."""
    if args.verify:
        return _verify(args)
    if args.fetch:
        from ornstein.provenance.weights import fetch, get

        what = get(args.fetch)
        folder = fetch(args.fetch)
        fetched = {"name": what.name, "about": what.about, "licence": what.licence, "folder": str(folder)}
        emit(args, fetched, f"{what.name}: {what.about}; {what.licence}\n{folder}")
        return 0
    import torch

    from ornstein import __version__
    from ornstein.data import cache_dir
    from ornstein.recipes.saved import bundled_models

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


def _verify(args: argparse.Namespace) -> int:
    """What each file says of itself."""
    from ornstein.provenance import verify

    found = [verify(path, None if args.key is None else [args.key]) for path in args.verify]
    emit(args, [asdict(origin) for origin in found], "\n\n".join(_told(origin) for origin in found))
    return 0


def _told(origin: Any) -> str:
    """One file for people."""
    width, height = origin.size
    lines = [f"{origin.path}: {width} x {height} pixels"]
    if origin.settings is None:
        lines.append("settings  none in the file")
    else:
        who = "ours" if origin.settings.source == "ornstein" else "the 'parameters' line that many tools write"
        lines.append(f"settings  {who}")
        shown = ("recipe", "prompt", "label", "sampler", "steps", "grid", "guidance", "seed", "software")
        lines += [f"          {k} {origin.settings.values[k]}" for k in shown if k in origin.settings.values]
    for d in origin.marks:
        what = "found" if d.found else "not found"
        whose = (" with the secret key" if origin.secret else " with the public key") if d.found else ""
        payload = "" if d.payload is None else f", payload {d.payload:08x}"
        agrees = {True: ", which fits the settings", False: ", which does NOT fit the settings: they were changed"}
        payload += agrees.get(origin.agrees, "") if d.payload is not None else ""
        lines.append(f"mark      {d.method}: {what}{whose} ({d.score:.1f}, threshold {d.threshold:g}){payload}")
    if origin.manifest is None:
        lines.append("manifest  none")
    else:
        m = origin.manifest
        made = "made by a generative model" if m.generated else "says nothing of how it was made"
        lines.append(f"manifest  {m.state}, signed by {m.issuer or 'someone unnamed'}, {made}; {m.generator or ''}")
    return "\n".join(lines)
